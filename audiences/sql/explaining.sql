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
