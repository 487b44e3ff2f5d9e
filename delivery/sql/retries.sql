-- name: retry_failed
UPDATE delivery_message m SET account = 5, rank = 20, next_attempt_at = %(now)s, last_event_at = %(now)s
FROM (SELECT environment_id, job_id, position FROM delivery_message
      WHERE environment_id = %(environment)s AND job_id = %(job)s AND exception = 9
      ORDER BY position LIMIT %(most)s FOR UPDATE) f
WHERE m.environment_id = f.environment_id AND m.job_id = f.job_id AND m.position = f.position
RETURNING m.position

-- name: resolve_uncertain
UPDATE delivery_message SET account = %(account)s, rank = %(rank)s, detail = %(detail)s, settled_at = %(now)s,
                            last_event_at = %(now)s, next_attempt_at = %(next)s
WHERE environment_id = %(environment)s AND job_id = %(job)s AND exception = 3
  AND (%(positions)s::int[] IS NULL OR position = ANY(%(positions)s::int[]))
RETURNING position

-- name: claim_retries
-- Due messages that nobody else is claiming, checked again like first attempts, and in flight (or excluded) from now on.
WITH due AS MATERIALIZED (
    SELECT position, person_id, address FROM delivery_message
    WHERE environment_id = %(environment)s AND job_id = %(job)s AND next_attempt_at <= %(now)s
    ORDER BY next_attempt_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
), checked AS MATERIALIZED (
    SELECT m.position,
           -- include: reason_now
           AS reason
    FROM due m
    -- include: facts_now
), moved AS (
    UPDATE delivery_message m SET
        account = CASE WHEN c.reason = 0 THEN 2 ELSE 0 END, rank = CASE WHEN c.reason = 0 THEN 10 ELSE 90 END,
        attempts = m.attempts + CASE WHEN c.reason = 0 THEN 1 ELSE 0 END, next_attempt_at = NULL,
        last_event_at = %(now)s,
        code = CASE WHEN c.reason = 0 THEN '' ELSE (%(reasons)b::text[])[c.reason] END,
        detail = CASE WHEN c.reason = 0 THEN '' ELSE 'Left out at hand-off' END
    FROM checked c
    WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position = c.position
    RETURNING m.position, m.person_id, m.address, m.attempts, c.reason
)
SELECT moved.position, moved.person_id, moved.address, s.fields, moved.reason, moved.attempts
FROM moved
LEFT JOIN LATERAL (
    SELECT s.fields FROM audiences_snapshotmember s
    WHERE s.taken_month = %(month)s AND s.snapshot_id = %(snapshot)s AND s.position = moved.position
      AND s.environment_id = %(environment)s LIMIT 1) s ON true
ORDER BY moved.position
