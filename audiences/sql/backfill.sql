-- name: keep_members
-- The latest word of Lamba about each member, whole. Nothing is kept of who was erased since.
INSERT INTO audiences_lambamember AS kept (environment_id, person_id, raw, source, told_at)
SELECT %(environment)s, p.id, told.raw::jsonb, %(source)s, %(at)s
FROM unnest(%(people)b::bigint[], %(raws)b::text[]) AS told (person_id, raw)
JOIN audiences_person AS p ON p.id = told.person_id AND p.environment_id = %(environment)s AND p.erased_at IS NULL
ORDER BY p.id
ON CONFLICT (environment_id, person_id) DO UPDATE
    SET raw = excluded.raw, source = excluded.source, told_at = excluded.told_at
    WHERE kept.told_at <= excluded.told_at
