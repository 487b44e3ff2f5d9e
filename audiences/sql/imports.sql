-- name: check_rows
-- One pass over the staged rows; {cells} judges every cell of a row: (title, code or NULL, value, limit).
INSERT INTO import_problems (line, title, code, value, note)
SELECT r.line, judged.title, judged.code, left(judged.value, 200), judged.note
FROM import_rows AS r
CROSS JOIN LATERAL (VALUES {cells}) AS judged (title, code, value, note)
WHERE judged.code IS NOT NULL

-- name: check_repeated
INSERT INTO import_problems (line, title, code, value, note)
SELECT line, %(title)s, 'repeated_person', left(who, 200), first_line::text
FROM (
    SELECT r.line, {who} AS who, min(r.line) OVER (PARTITION BY {who} COLLATE "C") AS first_line
    FROM import_rows AS r
    WHERE {who} IS NOT NULL
) AS told
WHERE line > first_line

-- name: check_erased
INSERT INTO import_problems (line, title, code, value, note)
SELECT r.line, %(title)s, 'erased_person', left({who}, 200), ''
FROM import_rows AS r
JOIN audiences_person AS p ON p.environment_id = %(environment)s AND p.external_id = {who}
WHERE p.erased_at IS NOT NULL

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

-- name: drop_wrong_rows
DELETE FROM import_rows USING import_problems WHERE import_rows.line = import_problems.line

-- name: count_known
SELECT count(p.id), count(*) - count(p.id)
FROM import_rows AS r
LEFT JOIN audiences_person AS p ON p.environment_id = %(environment)s AND p.external_id = {who}

-- name: create_imported
-- New people get every column at once; sorted like ensure_people, so that neither waits for the other in a circle.
WITH created AS (
    INSERT INTO audiences_person
        (environment_id, external_id, public_id, created_at, email, name, given_name, family_name, locale, time_zone, country, traits)
    SELECT
        %(environment)s, {who}, 'per_' || %(id_start)s
            || substr(%(digits)s, (r.line >> 20 & 31) + 1, 1) || substr(%(digits)s, (r.line >> 15 & 31) + 1, 1)
            || substr(%(digits)s, (r.line >> 10 & 31) + 1, 1) || substr(%(digits)s, (r.line >> 5 & 31) + 1, 1)
            || substr(%(digits)s, (r.line & 31) + 1, 1),
        %(at)s, {email}, {name}, {given_name}, {family_name}, {locale}, {time_zone}, upper({country}), {traits}
    FROM import_rows AS r
    WHERE NOT EXISTS (
        SELECT FROM audiences_person AS p WHERE p.environment_id = %(environment)s AND p.external_id = {who}
    )
    ORDER BY {who} COLLATE "C"
    ON CONFLICT (environment_id, external_id) DO NOTHING
    RETURNING id, external_id
)
INSERT INTO import_people (line, person_id, fresh)
SELECT r.line, c.id, TRUE
FROM created AS c
JOIN import_rows AS r ON {who} = c.external_id

-- name: find_imported
INSERT INTO import_people (line, person_id, fresh)
SELECT r.line, p.id, FALSE
FROM import_rows AS r
JOIN audiences_person AS p ON p.environment_id = %(environment)s AND p.external_id = {who}
WHERE NOT EXISTS (SELECT FROM import_people AS i WHERE i.line = r.line)

-- name: create_imported_facts
INSERT INTO audiences_personfacts
    (person_id, environment_id, membership, lifecycle, lifecycle_at, plan, consent_mask, address_state)
SELECT
    i.person_id, %(environment)s, {membership}, coalesce(stage.number, 0),
    CASE WHEN stage.number IS NOT NULL THEN %(at)s::timestamptz END, coalesce(plan.number, 0), {consent_mask},
    audiences_address_state({email})
FROM import_people AS i
JOIN import_rows AS r USING (line)
LEFT JOIN audiences_vocabulary AS stage
    ON stage.environment_id = %(environment)s AND stage.kind = 'lifecycle' AND stage.name = {lifecycle}
LEFT JOIN audiences_vocabulary AS plan
    ON plan.environment_id = %(environment)s AND plan.kind = 'plan' AND plan.name = {plan}
WHERE i.fresh
ORDER BY i.person_id

-- name: lock_imported
SELECT count(*)
FROM (
    SELECT f.person_id
    FROM audiences_personfacts AS f
    JOIN import_people AS i ON i.person_id = f.person_id AND NOT i.fresh
    WHERE f.environment_id = %(environment)s
    ORDER BY f.person_id
    FOR NO KEY UPDATE OF f
) AS locked

-- name: record_imported
INSERT INTO audiences_factrecord (environment_id, person_id, source, values, occurred_at)
SELECT %(environment)s, told.person_id, %(source)s, told.values, %(at)s
FROM (SELECT i.person_id, {record} AS values FROM import_people AS i JOIN import_rows AS r USING (line)) AS told
WHERE told.values <> '{{}}'
ORDER BY told.person_id
ON CONFLICT (environment_id, person_id, source) DO NOTHING

-- name: won_of_import
-- Of people known before: what this file told and nothing newer contradicts. Segments are facts of their own, for all.
WITH told AS (
    SELECT r.person_id, each.key AS field, each.value
    FROM import_people AS i
    JOIN audiences_factrecord AS r
        ON r.environment_id = %(environment)s AND r.person_id = i.person_id AND r.source = %(source)s
    CROSS JOIN LATERAL jsonb_each(r.values) AS each
    WHERE NOT i.fresh
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
    SELECT DISTINCT i.person_id, 'segment.' || btrim(word) AS field
    FROM import_people AS i
    JOIN import_rows AS r USING (line)
    CROSS JOIN LATERAL unnest(string_to_array({segments}, ';')) AS word
    WHERE btrim(word) <> ''
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

-- name: count_fresh_listed
SELECT count(*)
FROM import_people AS i
JOIN import_rows AS r USING (line)
WHERE i.fresh AND btrim({segments}, ' ;') <> ''

-- name: people_with_roles
SELECT array_agg(i.person_id ORDER BY i.person_id)
FROM import_people AS i
JOIN import_rows AS r USING (line)
WHERE {roles} IS NOT NULL

-- name: words_of_column
SELECT DISTINCT btrim(word)
FROM import_rows AS r
CROSS JOIN LATERAL unnest({words}) AS word
WHERE btrim(word) <> ''
LIMIT 40000
