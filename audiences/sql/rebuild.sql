-- name: told_and_remembered
-- Where the inbox and the history disagree: both sides of every value that these events tell. What is older than the
-- person's deletion is rightly forgotten. `source` comes from the index after a skip over the person's few fields.
WITH told AS MATERIALIZED (
    SELECT g.user_id, p.id AS person_id, p.public_id, g.field, g.value::jsonb AS value, g.occurred_at, g.source
    FROM unnest(
        %(users)b::text[], %(fields)b::text[], %(values)b::text[], %(times)b::timestamptz[], %(sources)b::text[]
    ) AS g (user_id, field, value, occurred_at, source)
    LEFT JOIN audiences_person AS p ON p.environment_id = %(environment)s AND p.external_id = g.user_id
),
remembered AS (
    SELECT each.person_id, each.public_id, each.user_id, h.field, h.value, h.occurred_at, each.source
    FROM (SELECT DISTINCT person_id, public_id, user_id, source FROM told) AS each
    CROSS JOIN LATERAL (
        SELECT field, value, occurred_at
        FROM audiences_facthistory
        WHERE environment_id = %(environment)s AND person_id = each.person_id AND source = each.source
    ) AS h
)
SELECT
    coalesce(t.public_id, r.public_id), coalesce(t.user_id, r.user_id), coalesce(t.field, r.field),
    coalesce(t.source, r.source), r.value::text, t.value::text, r.occurred_at, t.occurred_at,
    coalesce(t.person_id, r.person_id)
FROM told AS t
FULL JOIN remembered AS r ON r.person_id = t.person_id AND r.field = t.field AND r.source = t.source
WHERE (r.source IS NULL OR t.source IS NULL OR r.value <> t.value OR r.occurred_at <> t.occurred_at)
    AND NOT EXISTS (
        SELECT
        FROM audiences_facthistory AS d
        WHERE d.environment_id = %(environment)s AND d.person_id = t.person_id AND d.field = 'deleted'
            AND r.source IS NULL AND t.field !~ %(outlives_deletion)s
            AND (t.occurred_at < d.occurred_at OR (t.occurred_at = d.occurred_at AND t.source <> d.source))
    )
ORDER BY 4, 3

-- name: forget_mistold
-- History that an event of the inbox never told, or told otherwise. It is told again from the inbox.
DELETE FROM audiences_facthistory AS h
USING unnest(%(people)b::bigint[], %(fields)b::text[], %(sources)b::text[]) AS g (person_id, field, source)
WHERE h.environment_id = %(environment)s AND h.person_id = g.person_id AND h.field = g.field AND h.source = g.source

-- name: next_people
SELECT coalesce(array_agg(id), '{}')
FROM (
    SELECT id FROM audiences_person
    WHERE environment_id = %(environment)s AND id > %(after)s
    ORDER BY id
    LIMIT %(limit)s
) AS few

-- name: shadow_people
-- Temporary twins come first in the search path, so the same statements that rebuild write into them instead.
CREATE TEMPORARY TABLE audiences_person (LIKE public.audiences_person INCLUDING DEFAULTS INCLUDING INDEXES)
    ON COMMIT DROP;
CREATE TEMPORARY TABLE audiences_personfacts (LIKE public.audiences_personfacts INCLUDING DEFAULTS INCLUDING INDEXES)
    ON COMMIT DROP;
CREATE TEMPORARY TABLE audiences_fact (LIKE public.audiences_fact INCLUDING DEFAULTS INCLUDING INDEXES) ON COMMIT DROP

-- name: fill_shadows
WITH people AS (
    INSERT INTO pg_temp.audiences_person
    SELECT * FROM public.audiences_person WHERE environment_id = %(environment)s AND id = ANY(%(people)b)
)
INSERT INTO pg_temp.audiences_personfacts
SELECT * FROM public.audiences_personfacts WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)

-- name: drop_shadows
DROP TABLE pg_temp.audiences_person, pg_temp.audiences_personfacts, pg_temp.audiences_fact

-- name: clear_facts
DELETE FROM audiences_fact WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)

-- name: restore_facts
-- The newest of each field, from everything that was ever told.
INSERT INTO audiences_fact (environment_id, person_id, field, value, occurred_at, source)
SELECT DISTINCT ON (person_id, field) environment_id, person_id, field, value, occurred_at, source
FROM audiences_facthistory
WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
ORDER BY person_id, field, occurred_at DESC, source COLLATE "C" DESC

-- name: clear_people
-- Every column that facts decide, as if nothing had been told but the deletion.
WITH people AS (
    UPDATE audiences_person AS p
    SET email = '', name = '', given_name = '', family_name = '', locale = '', time_zone = '', country = '',
        traits = '{}', erased_at = (
            SELECT d.occurred_at
            FROM audiences_fact AS d
            WHERE d.environment_id = %(environment)s AND d.person_id = p.id AND d.field = 'deleted'
        )
    WHERE p.environment_id = %(environment)s AND p.id = ANY(%(people)b)
)
UPDATE audiences_personfacts
SET roles_mask = 0, segments_mask = 0, segments_mask_1 = 0, segments_mask_2 = 0, segments_mask_3 = 0,
    last_session_at = NULL, lifecycle_at = NULL, session_count = 0, membership = 0, lifecycle = 0, plan = 0,
    consent_mask = 0, unsubscribed_mask = 0, suppressed_mask = 0, address_state = 0
WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)

-- name: differences
-- Stored beside rebuilt, value by value: (person, what, stored, rebuilt).
SELECT p.public_id, d.what, d.stored, d.rebuilt
FROM (
    SELECT s.id AS person_id, each.key AS what, each.value #>> '{}' AS stored, to_jsonb(r) ->> each.key AS rebuilt
    FROM public.audiences_person AS s
    JOIN pg_temp.audiences_person AS r USING (id)
    CROSS JOIN LATERAL jsonb_each(to_jsonb(s)) AS each
    WHERE s.id = ANY(%(people)b) AND s IS DISTINCT FROM r AND to_jsonb(r) -> each.key IS DISTINCT FROM each.value
    UNION ALL
    SELECT s.person_id, each.key, each.value #>> '{}', to_jsonb(r) ->> each.key
    FROM public.audiences_personfacts AS s
    JOIN pg_temp.audiences_personfacts AS r USING (person_id)
    CROSS JOIN LATERAL jsonb_each(to_jsonb(s)) AS each
    WHERE s.person_id = ANY(%(people)b) AND s IS DISTINCT FROM r
        AND to_jsonb(r) -> each.key IS DISTINCT FROM each.value
    UNION ALL
    SELECT
        coalesce(s.person_id, r.person_id), 'fact ' || coalesce(s.field, r.field),
        s.value::text || ' of ' || s.source || ' at ' || s.occurred_at,
        r.value::text || ' of ' || r.source || ' at ' || r.occurred_at
    FROM (
        SELECT * FROM public.audiences_fact WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
    ) AS s
    FULL JOIN pg_temp.audiences_fact AS r ON r.person_id = s.person_id AND r.field = s.field
    WHERE (s.value, s.occurred_at, s.source) IS DISTINCT FROM (r.value, r.occurred_at, r.source)
) AS d
JOIN public.audiences_person AS p ON p.id = d.person_id
ORDER BY d.person_id, d.what
LIMIT %(limit)s
