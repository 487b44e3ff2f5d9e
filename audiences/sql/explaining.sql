-- name: sessions_of
SELECT person_id, occurred_at
FROM audiences_facthistory
WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s) AND field = 'session'

-- name: stages_of
-- The latest moment at which each stage was told, by events and by imports.
SELECT person_id, stage, max(occurred_at)
FROM (
    SELECT person_id, value #>> '{}' AS stage, occurred_at
    FROM audiences_facthistory
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s) AND field = 'lifecycle'
    UNION ALL
    SELECT person_id, values ->> 'lifecycle', occurred_at
    FROM audiences_factrecord
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s) AND values ? 'lifecycle'
) AS told
WHERE stage IS NOT NULL
GROUP BY person_id, stage

-- name: contacts_of
-- One look into the primary key for each subject and person: thousands of looks for a person, at most.
SELECT c.person_id, s.subject, c.contacted_at, c.opened_at, c.clicked_at
FROM audiences_contactsubject AS s
CROSS JOIN LATERAL (
    SELECT person_id, contacted_at, opened_at, clicked_at
    FROM audiences_contact
    WHERE month = s.month AND subject_id = s.id AND person_id = ANY(%(people)s)
    OFFSET 0
) AS c
WHERE s.environment_id = %(environment)s

-- name: remember
-- What stood for people when a snapshot read the facts: of every field the newest of what was visible then.
SELECT person_id, field, value::text, occurred_at, source
FROM (
    SELECT
        person_id, field, value, occurred_at, source,
        row_number() OVER (PARTITION BY person_id, field ORDER BY occurred_at DESC, source COLLATE "C" DESC) AS age
    FROM (
        SELECT person_id, field, value, occurred_at, source
        FROM audiences_facthistory
        WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s)
            AND pg_visible_in_snapshot(transaction, %(watermark)s::pg_snapshot)
        UNION ALL
        SELECT r.person_id, each.key, each.value, r.occurred_at, r.source
        FROM audiences_factrecord AS r, jsonb_each(r.values) AS each
        WHERE r.environment_id = %(environment)s AND r.person_id = ANY(%(people)s)
            AND pg_visible_in_snapshot(r.transaction, %(watermark)s::pg_snapshot)
    ) AS told
) AS ranked
WHERE age = 1

-- name: remember_events
-- Sessions and stages that were visible then.
SELECT person_id, field, value #>> '{}', occurred_at
FROM audiences_facthistory
WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s) AND field IN ('session', 'lifecycle')
    AND pg_visible_in_snapshot(transaction, %(watermark)s::pg_snapshot)
UNION ALL
SELECT person_id, 'lifecycle', values ->> 'lifecycle', occurred_at
FROM audiences_factrecord
WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s) AND values ? 'lifecycle'
    AND pg_visible_in_snapshot(transaction, %(watermark)s::pg_snapshot)

-- name: member_of
-- One person's row among millions: positions lie in the order of people, so twenty looks into the key find it.
WITH RECURSIVE halves AS (
    SELECT side, 1 AS low, most AS high
    FROM (VALUES (1, %(included)s::int), (-1, %(excluded)s::int)) AS sides (side, most)
    WHERE most > 0
    UNION ALL
    SELECT
        h.side,
        CASE WHEN m.person_id < %(person)s THEN (h.low + h.high) / 2 + 1 ELSE h.low END,
        CASE WHEN m.person_id < %(person)s THEN h.high ELSE (h.low + h.high) / 2 END
    FROM halves AS h
    JOIN audiences_snapshotmember AS m
        ON m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position = h.side * ((h.low + h.high) / 2)
    WHERE h.low < h.high
)
SELECT m.position, m.reason, m.truth, m.address
FROM halves AS h
JOIN audiences_snapshotmember AS m
    ON m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s AND m.position = h.side * h.low
WHERE h.low = h.high AND m.person_id = %(person)s

-- name: judge_addresses
SELECT address, audiences_address_state(address) FROM unnest(%(addresses)s::text[]) AS address

-- name: facts_of_people
-- Every standing value of some people with its origin.
SELECT DISTINCT ON (person_id, field) person_id, field, value::text, occurred_at, source
FROM (
    SELECT person_id, field, value, occurred_at, source
    FROM audiences_fact
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)s)
    UNION ALL
    SELECT r.person_id, each.key, each.value, r.occurred_at, r.source
    FROM audiences_factrecord AS r, jsonb_each(r.values) AS each
    WHERE r.environment_id = %(environment)s AND r.person_id = ANY(%(people)s)
) AS told
ORDER BY person_id, field, occurred_at DESC, source COLLATE "C" DESC
