-- name: count_segments
-- Each count stops at %(most)s entries of the index of members.
SELECT s.id, counted.people
FROM audiences_segment AS s
CROSS JOIN LATERAL (
    SELECT count(*) AS people
    FROM (
        SELECT
        FROM audiences_fact AS f
        WHERE f.environment_id = s.environment_id AND f.field = 'segment.' || s.slug
            AND f.field LIKE 'segment.%%' AND f.value = 'true'
        LIMIT %(most)s
    ) AS few
) AS counted
WHERE s.environment_id = %(environment)s

-- name: people_by_names
-- People by Lamba's user id or by address, whichever the text is.
SELECT asked.name, p.id
FROM unnest(%(asked)b::text[]) AS asked (name)
JOIN audiences_person AS p ON p.environment_id = %(environment)s AND p.external_id = asked.name
WHERE p.erased_at IS NULL
UNION
SELECT asked.name, p.id
FROM unnest(%(asked)b::text[]) AS asked (name)
JOIN audiences_person AS p ON p.environment_id = %(environment)s AND lower(p.email) = lower(asked.name)
WHERE strpos(asked.name, '@') > 0 AND p.erased_at IS NULL
