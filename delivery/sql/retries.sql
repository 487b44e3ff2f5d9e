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
    SELECT due.position,
           CASE WHEN f.membership IS DISTINCT FROM 2 THEN 1
                WHEN f.consent_mask & %(channel_bit)s = 0 THEN 5
                WHEN f.unsubscribed_mask & %(channel_bit)s <> 0 THEN 6
                -- topic: null for most jobs, and then nothing of this is evaluated
                WHEN %(topic)s::bigint IS NOT NULL AND EXISTS (
                    SELECT FROM delivery_topicchoice t
                    WHERE t.environment_id = %(environment)s AND t.topic_id = %(topic)s
                      AND t.channel_bit = %(channel_bit)s AND t.person_id = due.person_id AND NOT t.wanted) THEN 6
                WHEN %(topic)s::bigint IS NOT NULL AND NOT EXISTS (
                    SELECT FROM delivery_topicchoice t
                    WHERE t.environment_id = %(environment)s AND t.topic_id = %(topic)s
                      AND t.channel_bit = %(channel_bit)s AND t.person_id = due.person_id AND t.wanted) AND EXISTS (
                    SELECT FROM delivery_topic t
                    WHERE t.environment_id = %(environment)s AND t.id = %(topic)s AND t.opt_in) THEN 5
                WHEN f.suppressed_mask & %(channel_bit)s <> 0 OR EXISTS (
                    SELECT 1 FROM delivery_suppression s
                    WHERE s.environment_id = %(environment)s AND s.channel = %(channel)s
                      AND lower(s.address) = lower(due.address)) THEN 7
                ELSE 0 END AS reason
    FROM due
    LEFT JOIN LATERAL (
        SELECT membership, consent_mask, unsubscribed_mask, suppressed_mask FROM audiences_personfacts f
        WHERE f.person_id = due.person_id AND f.environment_id = %(environment)s LIMIT 1) f ON true
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
