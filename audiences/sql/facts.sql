-- name: find_people
-- LATERAL with LIMIT: one look into the unique index per id, also while the planner knows nothing of a fresh table.
SELECT asked.external_id, p.id
FROM unnest(%(external_ids)b::text[]) AS asked (external_id)
CROSS JOIN LATERAL (
    SELECT id
    FROM audiences_person
    WHERE environment_id = %(environment)s AND external_id = asked.external_id
    LIMIT 1
) AS p

-- name: create_people
-- Two callers may create the same people: the second waits for the first and inserts nothing. Sorted, so that neither
-- can wait for the other.
WITH created AS (
    INSERT INTO audiences_person (environment_id, external_id, public_id, created_at)
    SELECT %(environment)s, given.external_id, given.public_id, %(now)s
    FROM unnest(%(external_ids)b::text[], %(public_ids)b::text[]) AS given (external_id, public_id)
    ORDER BY given.external_id COLLATE "C"
    ON CONFLICT (environment_id, external_id) DO NOTHING
    RETURNING id
)
INSERT INTO audiences_personfacts (person_id, environment_id)
SELECT id, %(environment)s FROM created

-- name: lock_people
-- Every writer of facts locks its people in this order first, so batches that share people queue up.
SELECT count(*)
FROM (
    SELECT person_id
    FROM audiences_personfacts
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
    ORDER BY person_id
    FOR NO KEY UPDATE
) AS locked

-- name: won_of_changes
-- Every value goes to the history, once per source. The current value is replaced by a newer one only, and never by
-- something older than the person's deletion, except what forbids contact and what the deletion itself says. `won` are
-- the values that now stand, import records considered. Scalar subqueries look into primary keys row by row; joins
-- would read whole tables while these lack statistics.
WITH given AS MATERIALIZED (
    SELECT g.person_id, g.field, g.value::jsonb AS value, g.occurred_at, g.source
    FROM unnest(
        %(people)b::bigint[], %(fields)b::text[], %(values)b::text[], %(times)b::timestamptz[], %(sources)b::text[]
    ) AS g (person_id, field, value, occurred_at, source)
    WHERE coalesce((
        SELECT g.occurred_at > d.occurred_at OR (g.occurred_at = d.occurred_at AND g.source = d.source)
            OR g.field ~ %(outlives_deletion)s
        FROM audiences_fact AS d
        WHERE d.environment_id = %(environment)s AND d.person_id = g.person_id AND d.field = 'deleted'
    ), TRUE)
),
noted AS (
    INSERT INTO audiences_facthistory (environment_id, person_id, field, source, value, occurred_at, recorded_at)
    SELECT DISTINCT ON (person_id, field, source)
        %(environment)s, person_id, field, source, value, occurred_at, %(now)s
    FROM given
    ORDER BY person_id, field, source, occurred_at
    ON CONFLICT (environment_id, person_id, field, source) DO NOTHING
    RETURNING person_id, field
),
newest AS (
    SELECT DISTINCT ON (person_id, field) person_id, field, value, occurred_at, source
    FROM given
    ORDER BY person_id, field, occurred_at DESC, source COLLATE "C" DESC
),
stands AS (
    INSERT INTO audiences_fact AS standing (environment_id, person_id, field, value, occurred_at, source)
    SELECT %(environment)s, n.person_id, n.field, n.value, n.occurred_at, n.source
    FROM newest AS n
    ON CONFLICT (environment_id, person_id, field) DO UPDATE
        SET value = excluded.value, occurred_at = excluded.occurred_at, source = excluded.source
        WHERE (standing.occurred_at, standing.source COLLATE "C") < (excluded.occurred_at, excluded.source)
    RETURNING person_id, field, value, occurred_at, source
),
won AS (
    SELECT s.person_id, s.field, s.value, s.occurred_at
    FROM stands AS s
    WHERE (
        SELECT count(*)
        FROM audiences_factrecord AS r
        WHERE r.environment_id = %(environment)s AND r.person_id = s.person_id AND r.values ? s.field
            AND (r.occurred_at, r.source COLLATE "C") >= (s.occurred_at, s.source)
    ) = 0
),
sessions AS (
    SELECT person_id, count(*) AS more FROM noted WHERE field = 'session' GROUP BY person_id
),

-- name: won_of_stored
-- What stands for these people, from the stored facts alone: the newest of facts and import records.
WITH told AS (
    SELECT person_id, field, value, occurred_at, source
    FROM audiences_fact
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
    UNION ALL
    SELECT r.person_id, each.key, each.value, r.occurred_at, r.source
    FROM audiences_factrecord AS r, jsonb_each(r.values) AS each
    WHERE r.environment_id = %(environment)s AND r.person_id = ANY(%(people)b)
),
won AS (
    SELECT DISTINCT ON (person_id, field) person_id, field, value, occurred_at
    FROM told
    ORDER BY person_id, field, occurred_at DESC, source COLLATE "C" DESC
),
sessions AS (
    SELECT person_id, count(*) AS more
    FROM audiences_facthistory
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b) AND field = 'session'
    GROUP BY person_id
),

-- name: projection
-- `won` and `sessions` become columns: who a person is in audiences_person, what rules scan in audiences_personfacts.
-- Its people were locked under their environment before, so their primary keys alone find the rows.
named AS (
    SELECT
        person_id, field, value, occurred_at,
        value #>> '{}' AS said,
        CASE
            WHEN field IN ('lifecycle', 'plan') THEN field
            WHEN field LIKE 'segment.%%' THEN 'segment'
        END AS kind,
        CASE WHEN field LIKE 'segment.%%' THEN substr(field, 9) ELSE value #>> '{}' END AS name,
        CASE split_part(field, '.', 2)
            WHEN 'email' THEN 1 WHEN 'in_app' THEN 2 WHEN 'sms' THEN 4 WHEN 'webhook' THEN 8
        END AS channel,
        value IS NOT NULL AND value NOT IN ('false', 'null', '""') AS holds
    FROM won
),
identity AS (
    SELECT
        person_id,
        max(occurred_at) AS told_at,
        CASE WHEN bool_or(field = 'email') THEN coalesce(max(said) FILTER (WHERE field = 'email'), '') END AS email,
        CASE WHEN bool_or(field = 'name') THEN coalesce(max(said) FILTER (WHERE field = 'name'), '') END AS name,
        CASE WHEN bool_or(field = 'given_name')
            THEN coalesce(max(said) FILTER (WHERE field = 'given_name'), '') END AS given_name,
        CASE WHEN bool_or(field = 'family_name')
            THEN coalesce(max(said) FILTER (WHERE field = 'family_name'), '') END AS family_name,
        CASE WHEN bool_or(field = 'locale') THEN coalesce(max(said) FILTER (WHERE field = 'locale'), '') END AS locale,
        CASE WHEN bool_or(field = 'time_zone')
            THEN coalesce(max(said) FILTER (WHERE field = 'time_zone'), '') END AS time_zone,
        CASE WHEN bool_or(field = 'country')
            THEN coalesce(max(upper(said)) FILTER (WHERE field = 'country' AND said ~ '^[A-Za-z]{2}$'), '')
            END AS country,
        coalesce(jsonb_object_agg(substr(field, 7), value) FILTER (WHERE field LIKE 'trait.%%'), '{}') AS traits
    FROM named
    WHERE field IN ('email', 'name', 'given_name', 'family_name', 'locale', 'time_zone', 'country')
        OR field LIKE 'trait.%%'
    GROUP BY person_id
),
known AS (
    UPDATE audiences_person AS p
    SET email = left(coalesce(i.email, p.email), 254),
        name = left(coalesce(i.name, p.name), 200),
        given_name = left(coalesce(i.given_name, p.given_name), 200),
        family_name = left(coalesce(i.family_name, p.family_name), 200),
        locale = left(coalesce(i.locale, p.locale), 35),
        time_zone = left(coalesce(i.time_zone, p.time_zone), 64),
        country = coalesce(i.country, p.country),
        traits = jsonb_strip_nulls(p.traits || i.traits),
        erased_at = CASE WHEN i.told_at > p.erased_at THEN NULL ELSE p.erased_at END
    FROM identity AS i
    WHERE p.id = i.person_id
),
numbered AS (
    SELECT
        n.*, v.number,
        CASE n.kind WHEN 'segment' THEN v.number / 63 END AS word,
        CASE n.kind WHEN 'segment' THEN 1::bigint << (v.number %% 63) END AS bit
    FROM named AS n
    LEFT JOIN audiences_vocabulary AS v
        ON v.environment_id = %(environment)s AND v.kind = n.kind AND v.name = n.name
),
state AS (
    SELECT
        person_id,
        max(CASE said WHEN 'invited' THEN 1 WHEN 'active' THEN 2 WHEN 'suspended' THEN 3 WHEN 'removed' THEN 4 ELSE 0 END)
            FILTER (WHERE field = 'membership') AS membership,
        max(coalesce(number, 0)) FILTER (WHERE field = 'lifecycle') AS lifecycle,
        max(occurred_at) FILTER (WHERE field = 'lifecycle') AS lifecycle_at,
        max(coalesce(number, 0)) FILTER (WHERE field = 'plan') AS plan,
        max(occurred_at) FILTER (WHERE field = 'session') AS last_session_at,
        max(audiences_address_state(coalesce(said, ''))) FILTER (WHERE field = 'email') AS address_state,
        bit_or(channel) FILTER (WHERE field LIKE 'consent.%%' AND holds) AS consent_on,
        bit_or(channel) FILTER (WHERE field LIKE 'consent.%%' AND NOT holds) AS consent_off,
        bit_or(channel) FILTER (WHERE field LIKE 'unsubscribed.%%' AND holds) AS unsubscribed_on,
        bit_or(channel) FILTER (WHERE field LIKE 'unsubscribed.%%' AND NOT holds) AS unsubscribed_off,
        bit_or(channel) FILTER (WHERE field LIKE 'suppressed.%%' AND holds) AS suppressed_on,
        bit_or(channel) FILTER (WHERE field LIKE 'suppressed.%%' AND NOT holds) AS suppressed_off,
        bit_or(bit) FILTER (WHERE word = 0 AND holds) AS segments_on,
        bit_or(bit) FILTER (WHERE word = 0 AND NOT holds) AS segments_off,
        bit_or(bit) FILTER (WHERE word = 1 AND holds) AS segments_on_1,
        bit_or(bit) FILTER (WHERE word = 1 AND NOT holds) AS segments_off_1,
        bit_or(bit) FILTER (WHERE word = 2 AND holds) AS segments_on_2,
        bit_or(bit) FILTER (WHERE word = 2 AND NOT holds) AS segments_off_2,
        bit_or(bit) FILTER (WHERE word = 3 AND holds) AS segments_on_3,
        bit_or(bit) FILTER (WHERE word = 3 AND NOT holds) AS segments_off_3
    FROM numbered
    GROUP BY person_id
)
UPDATE audiences_personfacts AS f
SET membership = coalesce(s.membership, f.membership),
    lifecycle = coalesce(s.lifecycle, f.lifecycle),
    lifecycle_at = coalesce(s.lifecycle_at, f.lifecycle_at),
    plan = coalesce(s.plan, f.plan),
    last_session_at = coalesce(s.last_session_at, f.last_session_at),
    session_count = f.session_count + coalesce(n.more, 0),
    address_state = coalesce(s.address_state, f.address_state),
    consent_mask = (f.consent_mask & ~coalesce(s.consent_off, 0)) | coalesce(s.consent_on, 0),
    unsubscribed_mask = (f.unsubscribed_mask & ~coalesce(s.unsubscribed_off, 0)) | coalesce(s.unsubscribed_on, 0),
    suppressed_mask = (f.suppressed_mask & ~coalesce(s.suppressed_off, 0)) | coalesce(s.suppressed_on, 0),
    segments_mask = (f.segments_mask & ~coalesce(s.segments_off, 0)) | coalesce(s.segments_on, 0),
    segments_mask_1 = (f.segments_mask_1 & ~coalesce(s.segments_off_1, 0)) | coalesce(s.segments_on_1, 0),
    segments_mask_2 = (f.segments_mask_2 & ~coalesce(s.segments_off_2, 0)) | coalesce(s.segments_on_2, 0),
    segments_mask_3 = (f.segments_mask_3 & ~coalesce(s.segments_off_3, 0)) | coalesce(s.segments_on_3, 0)
FROM state AS s
FULL JOIN sessions AS n ON n.person_id = s.person_id
WHERE f.person_id = coalesce(s.person_id, n.person_id)

-- name: project_roles
-- `roles` is a whole list at one time, `role.x` one role at another: a single role newer than the list decides for itself.
WITH lists AS (
    SELECT DISTINCT ON (person_id) person_id, value, occurred_at, source
    FROM (
        SELECT person_id, value, occurred_at, source
        FROM audiences_fact
        WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b) AND field = 'roles'
        UNION ALL
        SELECT person_id, values -> 'roles', occurred_at, source
        FROM audiences_factrecord
        WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b) AND values ? 'roles'
    ) AS told
    ORDER BY person_id, occurred_at DESC, source COLLATE "C" DESC
),
headed AS (
    SELECT person_id, NULL AS name, NULL::boolean AS holds, occurred_at, source, TRUE AS is_list FROM lists
    UNION ALL
    SELECT person_id, substr(field, 6), value = 'true', occurred_at, source, FALSE
    FROM audiences_fact
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b) AND field LIKE 'role.%%'
),
compared AS (
    SELECT
        *,
        max(occurred_at) FILTER (WHERE is_list) OVER each AS list_at,
        max(source) FILTER (WHERE is_list) OVER each AS list_source
    FROM headed
    WINDOW each AS (PARTITION BY person_id)
),
entries AS (
    SELECT l.person_id, listed.name, TRUE AS holds, l.occurred_at, l.source
    FROM lists AS l
    CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(l.value) WHEN 'array' THEN l.value ELSE '[]' END)
        AS listed (name)
    UNION ALL
    SELECT person_id, name, holds, occurred_at, source
    FROM compared
    WHERE NOT is_list AND (list_at IS NULL OR (occurred_at, source COLLATE "C") > (list_at, list_source))
),
decided AS (
    SELECT DISTINCT ON (person_id, name) person_id, name, holds
    FROM entries
    ORDER BY person_id, name, occurred_at DESC, source COLLATE "C" DESC
),
masks AS (
    SELECT person_id, bit_or(bit) AS mask
    FROM (
        SELECT person_id, 0::bigint AS bit FROM unnest(%(people)b::bigint[]) AS asked (person_id)
        UNION ALL
        SELECT d.person_id, 1::bigint << v.number
        FROM decided AS d
        JOIN audiences_vocabulary AS v ON v.environment_id = %(environment)s AND v.kind = 'role' AND v.name = d.name
        WHERE d.holds
    ) AS bits
    GROUP BY person_id
)
UPDATE audiences_personfacts AS f
SET roles_mask = m.mask
FROM masks AS m
WHERE f.person_id = m.person_id

-- name: forget
-- What was told up to the deletion goes, except what forbids contact.
WITH deletions AS (
    SELECT person_id, occurred_at, source
    FROM audiences_fact
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b) AND field = 'deleted'
),
facts AS (
    DELETE FROM audiences_fact AS f USING deletions AS d
    WHERE f.environment_id = %(environment)s AND f.person_id = d.person_id
        AND (f.occurred_at < d.occurred_at OR (f.occurred_at = d.occurred_at AND f.source <> d.source))
        AND f.field !~ %(outlives_deletion)s
),
history AS (
    DELETE FROM audiences_facthistory AS h USING deletions AS d
    WHERE h.environment_id = %(environment)s AND h.person_id = d.person_id
        AND (h.occurred_at < d.occurred_at OR (h.occurred_at = d.occurred_at AND h.source <> d.source))
        AND h.field !~ %(outlives_deletion)s
),
records AS (
    DELETE FROM audiences_factrecord AS r USING deletions AS d
    WHERE r.environment_id = %(environment)s AND r.person_id = d.person_id AND r.occurred_at <= d.occurred_at
),
members AS (
    DELETE FROM audiences_lambamember AS m USING deletions AS d
    WHERE m.environment_id = %(environment)s AND m.person_id = d.person_id AND m.told_at <= d.occurred_at
),
people AS (
    UPDATE audiences_person AS p
    SET email = '', name = '', given_name = '', family_name = '', locale = '', time_zone = '', country = '',
        traits = '{}', erased_at = d.occurred_at
    FROM deletions AS d
    WHERE p.id = d.person_id AND p.environment_id = %(environment)s
)
UPDATE audiences_personfacts AS f
SET roles_mask = 0, segments_mask = 0, segments_mask_1 = 0, segments_mask_2 = 0, segments_mask_3 = 0,
    last_session_at = NULL, lifecycle_at = NULL, session_count = 0, membership = 0, lifecycle = 0, plan = 0,
    consent_mask = 0, unsubscribed_mask = 0, suppressed_mask = 0, address_state = 0
FROM deletions AS d
WHERE f.person_id = d.person_id AND f.environment_id = %(environment)s

-- name: record_contacted
-- The messages themselves are the history of contacts; here only the latest is kept.
UPDATE audiences_personfacts AS f
SET last_contacted_at = greatest(f.last_contacted_at, %(occurred_at)s)
FROM (
    SELECT person_id
    FROM audiences_personfacts
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
    ORDER BY person_id
    FOR NO KEY UPDATE
) AS locked
WHERE f.person_id = locked.person_id

-- name: facts_of_person
-- Every standing value of one person with its origin.
SELECT DISTINCT ON (field) field, value, occurred_at, source
FROM (
    SELECT field, value, occurred_at, source
    FROM audiences_fact
    WHERE environment_id = %(environment)s AND person_id = %(person)s
    UNION ALL
    SELECT each.key, each.value, r.occurred_at, r.source
    FROM audiences_factrecord AS r, jsonb_each(r.values) AS each
    WHERE r.environment_id = %(environment)s AND r.person_id = %(person)s
) AS told
ORDER BY field, occurred_at DESC, source COLLATE "C" DESC

-- name: history_of_person
-- Everything ever told about one person, newest first. An import record counts as one entry per field.
SELECT field, value, occurred_at, source
FROM (
    SELECT field, value, occurred_at, source
    FROM audiences_facthistory
    WHERE environment_id = %(environment)s AND person_id = %(person)s
    UNION ALL
    SELECT each.key, each.value, r.occurred_at, r.source
    FROM audiences_factrecord AS r, jsonb_each(r.values) AS each
    WHERE r.environment_id = %(environment)s AND r.person_id = %(person)s
) AS told
ORDER BY occurred_at DESC, source COLLATE "C" DESC, field
LIMIT %(limit)s
