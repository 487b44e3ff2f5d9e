-- name: introduce_subject
INSERT INTO audiences_contactsubject (environment_id, subject, name, month, introduced_at, active_at)
VALUES (%(environment)s, %(subject)s, %(name)s, %(month)s, %(at)s, %(at)s)
ON CONFLICT (environment_id, subject) DO NOTHING

-- name: record_contacts
-- One statement per micro-batch: the contacts, the latest contact of each person, and the subject's activity when that
-- is an hour old (so its row is no bottleneck of many workers). Everything is sorted, so that batches queue up. The
-- earliest moment of each kind stands, whatever the order of calls. Returns the subject's number, or nothing where it
-- is not known yet.
WITH subject AS (
    SELECT id, month, environment_id
    FROM audiences_contactsubject
    WHERE environment_id = %(environment)s AND subject = %(subject)s
),
active AS (
    UPDATE audiences_contactsubject AS s
    SET active_at = %(newest)s
    FROM subject
    WHERE s.id = subject.id AND s.active_at < %(newest)s::timestamptz - interval '1 hour'
),
told AS MATERIALIZED (
    SELECT t.person_id, min(t.at) AS first_at, max(t.at) AS last_at
    FROM unnest(%(people)b::bigint[], %(times)b::timestamptz[]) AS t (person_id, at)
    GROUP BY t.person_id
    ORDER BY t.person_id
),
noted AS (
    INSERT INTO audiences_contact AS c (month, subject_id, person_id, environment_id, contacted_at, opened_at, clicked_at)
    SELECT
        s.month, s.id, t.person_id, s.environment_id, t.first_at,
        CASE WHEN %(depth)s >= 1 THEN t.first_at END, CASE WHEN %(depth)s >= 2 THEN t.first_at END
    FROM subject AS s
    CROSS JOIN told AS t
    ON CONFLICT (month, subject_id, person_id) DO UPDATE
        SET contacted_at = least(c.contacted_at, excluded.contacted_at),
            opened_at = least(c.opened_at, excluded.opened_at),
            clicked_at = least(c.clicked_at, excluded.clicked_at)
        WHERE c.contacted_at > excluded.contacted_at
            OR c.opened_at > excluded.opened_at OR (c.opened_at IS NULL AND excluded.opened_at IS NOT NULL)
            OR c.clicked_at > excluded.clicked_at OR (c.clicked_at IS NULL AND excluded.clicked_at IS NOT NULL)
),
locked AS MATERIALIZED (
    SELECT person_id
    FROM audiences_personfacts
    WHERE environment_id = %(environment)s AND person_id = ANY(%(people)b)
    ORDER BY person_id
    FOR NO KEY UPDATE
),
latest AS (
    UPDATE audiences_personfacts AS f
    SET last_contacted_at = greatest(f.last_contacted_at, t.last_at),
        last_opened_at = CASE WHEN %(depth)s >= 1 THEN greatest(f.last_opened_at, t.last_at) ELSE f.last_opened_at END,
        last_clicked_at = CASE WHEN %(depth)s >= 2 THEN greatest(f.last_clicked_at, t.last_at) ELSE f.last_clicked_at END
    FROM locked AS l
    JOIN told AS t USING (person_id)
    WHERE f.person_id = l.person_id
)
SELECT id FROM subject

-- name: capped
-- Who had as many messages as a frequency cap allows. Only subjects that were active since then are read.
capped AS MATERIALIZED (
    SELECT c.person_id
    FROM audiences_contactsubject AS s
    JOIN audiences_contact AS c ON c.month = s.month AND c.subject_id = s.id
    WHERE s.environment_id = %(environment)s AND s.active_at >= %(cap_since)s::timestamptz - interval '1 hour'
        AND c.contacted_at >= %(cap_since)s
    GROUP BY c.person_id
    HAVING count(*) >= %(cap_messages)s
),
