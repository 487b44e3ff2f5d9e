-- name: weight_of_member
SELECT reason, substr(hash, 1, 8)::bigint, substr(hash, 9, 8)::bigint
FROM (
    SELECT reason, audiences_member_hash(position, person_id, reason, truth, address, fields) AS hash
    FROM audiences_snapshotmember
    WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s AND position = %(position)s
) AS m

-- name: blank_member
-- The one change that a frozen member allows.
UPDATE audiences_snapshotmember
SET address = '', fields = NULL
WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s AND position = %(position)s
    AND (address <> '' OR fields IS NOT NULL)
