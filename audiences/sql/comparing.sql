-- name: compare
-- Of everyone in one snapshot or the other (or in the audience now): how they stood before and after. NULL is unmatched.
SELECT b.reason, a.reason, count(*)
FROM (
    SELECT person_id, reason
    FROM audiences_snapshotmember
    WHERE taken_month = %(before_month)s AND snapshot_id = %(before)s
) AS b
FULL JOIN {after} AS a USING (person_id)
GROUP BY b.reason, a.reason

-- name: compare_people
-- The people of one kind of change, in the order of their ids.
SELECT person_id, b.reason, a.reason
FROM (
    SELECT person_id, reason
    FROM audiences_snapshotmember
    WHERE taken_month = %(before_month)s AND snapshot_id = %(before)s
) AS b
FULL JOIN {after} AS a USING (person_id)
WHERE person_id > %(beyond)s AND CASE %(kind)s
    WHEN 'joined' THEN b.reason IS DISTINCT FROM 0 AND a.reason = 0
    WHEN 'left' THEN b.reason = 0 AND a.reason IS DISTINCT FROM 0
    ELSE b.reason IS DISTINCT FROM a.reason
END
ORDER BY person_id
LIMIT %(size)s

-- name: members_after
(
    SELECT person_id, reason
    FROM audiences_snapshotmember
    WHERE taken_month = %(after_month)s AND snapshot_id = %(after)s
)
