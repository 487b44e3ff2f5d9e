-- name: store_part
-- As a binary parameter: Django's own would send it in hexadecimal.
INSERT INTO audiences_importfilepart (environment_id, run_id, number, data)
VALUES (%(environment)s, %(run)s, %(number)s, %(data)b)

-- name: create_problems
CREATE TEMPORARY TABLE import_problems (line int NOT NULL, title text, code text, value text, note text) ON COMMIT DROP

-- name: count_problem_lines
SELECT count(DISTINCT line) FROM import_problems

-- name: keep_problems
INSERT INTO audiences_importproblem (environment_id, run_id, line, "column", code, detail, value)
SELECT
    %(environment)s, %(run)s, line, left(coalesce(title, ''), 90), code,
    left(replace(coalesce(%(details)s::jsonb ->> code, note), '{note}', note), 300), coalesce(value, '')
FROM import_problems
ORDER BY line, title
LIMIT %(limit)s

-- name: drop_import_tables
DROP TABLE IF EXISTS import_people, import_problems

-- name: create_import_people
CREATE TEMPORARY TABLE import_people (person_id bigint NOT NULL, fresh boolean, values jsonb, segments text[])
    ON COMMIT DROP

-- name: find_people_and_erased
-- LATERAL with LIMIT: one look into the unique index per id, also while the planner knows nothing of a fresh table.
SELECT asked.external_id, p.id, p.erased_at IS NOT NULL
FROM unnest(%(external_ids)b::text[]) AS asked (external_id)
CROSS JOIN LATERAL (
    SELECT id, erased_at
    FROM audiences_person
    WHERE environment_id = %(environment)s AND external_id = asked.external_id
    LIMIT 1
) AS p

-- name: take_person_ids
-- The sequence is looked up once, not once per id.
SELECT array_agg(nextval(sequence.id))
FROM (SELECT pg_get_serial_sequence('audiences_person', 'id')::regclass AS id OFFSET 0) AS sequence
CROSS JOIN generate_series(1, %(count)s)

-- name: index_import_people
CREATE UNIQUE INDEX ON import_people (person_id)

-- name: analyze_import_people
ANALYZE import_people

-- name: count_import_people
SELECT count(*) FROM import_people

-- name: lock_imported
SELECT count(*)
FROM (
    SELECT f.person_id
    FROM audiences_personfacts AS f
    JOIN import_people AS i ON i.person_id = f.person_id
    WHERE f.environment_id = %(environment)s
    ORDER BY f.person_id
    FOR NO KEY UPDATE OF f
) AS locked

-- name: next_imported
SELECT max(person_id), count(*)
FROM (SELECT person_id FROM import_people WHERE person_id > %(first)s ORDER BY person_id LIMIT %(limit)s) AS few

-- name: record_imported
INSERT INTO audiences_factrecord (environment_id, person_id, source, values, occurred_at)
SELECT %(environment)s, person_id, %(source)s, values, %(at)s
FROM import_people
WHERE person_id > %(first)s AND person_id <= %(last)s AND NOT fresh AND values <> '{}'
ORDER BY person_id
ON CONFLICT (environment_id, person_id, source) DO NOTHING

-- name: won_of_import
-- Of people known before: what this file told and nothing newer contradicts. Segments are facts of their own, for all.
WITH told AS (
    SELECT i.person_id, each.key AS field, each.value
    FROM import_people AS i
    CROSS JOIN LATERAL jsonb_each(i.values) AS each
    WHERE i.person_id > %(first)s AND i.person_id <= %(last)s AND NOT i.fresh
),
standing AS (
    SELECT t.person_id, t.field, t.value
    FROM told AS t
    WHERE NOT EXISTS (
        SELECT
        FROM audiences_fact AS f
        WHERE f.environment_id = %(environment)s AND f.person_id = t.person_id AND f.field = t.field
            AND (f.occurred_at, f.source COLLATE "C") > (%(at)s, %(source)s)
    ) AND NOT EXISTS (
        SELECT
        FROM audiences_factrecord AS o
        WHERE o.environment_id = %(environment)s AND o.person_id = t.person_id AND o.values ? t.field
            AND (o.occurred_at, o.source COLLATE "C") > (%(at)s, %(source)s)
    )
),
listed AS (
    SELECT i.person_id, 'segment.' || slug AS field
    FROM import_people AS i
    CROSS JOIN LATERAL unnest(i.segments) AS slug
    WHERE i.person_id > %(first)s AND i.person_id <= %(last)s
),
listed_history AS (
    INSERT INTO audiences_facthistory (environment_id, person_id, field, source, value, occurred_at, recorded_at)
    SELECT %(environment)s, person_id, field, %(source)s, 'true', %(at)s, %(now)s FROM listed
    ON CONFLICT (environment_id, person_id, field, source) DO NOTHING
),
joined AS (
    INSERT INTO audiences_fact AS f (environment_id, person_id, field, value, occurred_at, source)
    SELECT %(environment)s, person_id, field, 'true', %(at)s, %(source)s FROM listed
    ON CONFLICT (environment_id, person_id, field) DO UPDATE
        SET value = excluded.value, occurred_at = excluded.occurred_at, source = excluded.source
        WHERE (f.occurred_at, f.source COLLATE "C") < (excluded.occurred_at, excluded.source)
    RETURNING person_id, field, value, occurred_at
),
won AS (
    SELECT person_id, field, value, %(at)s::timestamptz AS occurred_at FROM standing
    UNION ALL
    SELECT person_id, field, value, occurred_at FROM joined
),
sessions AS (
    SELECT NULL::bigint AS person_id, NULL::bigint AS more WHERE FALSE
),

-- name: listed_and_roles
-- New people whom the segments touched, who are no updates; and known people whose roles the file tells.
SELECT
    count(*) FILTER (WHERE fresh AND segments <> '{}'),
    array_agg(person_id ORDER BY person_id) FILTER (WHERE NOT fresh AND values ? 'roles')
FROM import_people
WHERE person_id > %(first)s AND person_id <= %(last)s

-- name: try_lock_import
-- One worker per run; a dead one lets go at once. 0x41494d50 is "AIMP".
SELECT pg_try_advisory_xact_lock(1095322960, %(run)s::int)
