-- name: lock_vocabulary
-- 0x41564f43 is "AVOC": the first key keeps this lock apart from every other advisory lock.
SELECT pg_advisory_xact_lock(1096175427, %(environment)s::int)

-- name: lock_nesting
-- 0x414e5354 is "ANST".
SELECT pg_advisory_xact_lock(1095652180, %(environment)s::int)

-- name: nesting_rules
-- The newest rules of live audiences that ask for another one. An environment has hundreds of audiences, not millions.
SELECT a.id, v.rule::text
FROM audiences_audience AS a
JOIN audiences_audienceversion AS v ON v.audience_id = a.id AND v.number = a.version
WHERE a.environment_id = %(environment)s AND a.deleted_at IS NULL
    AND jsonb_path_exists(v.rule, '$.** ? (@.field == "audience")')
