-- name: claimed_by
-- The chunks that claimed a position: its own run, and every micro-batch of later attempts. Newest last.
SELECT number, positions IS NULL FROM delivery_chunk
WHERE environment_id = %(environment)s AND job_id = %(job)s AND state <> 3
  AND CASE WHEN positions IS NULL THEN %(position)s BETWEEN first_position AND last_position
           ELSE %(position)s = ANY(positions) END
ORDER BY number

-- name: frozen_fields
SELECT fields FROM audiences_snapshotmember
WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s AND environment_id = %(environment)s AND position = %(position)s
