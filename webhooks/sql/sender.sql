-- name: claim_deliveries
-- The attempt is counted and committed before a byte leaves. Events of one endpoint leave in order of sequence as far
-- as they are due together.
UPDATE webhooks_delivery AS delivery
   SET attempts = delivery.attempts + 1, next_attempt_at = %(lease_ends)s
  FROM (SELECT id FROM webhooks_delivery
         WHERE status = 'pending' AND next_attempt_at <= %(now)s
         ORDER BY next_attempt_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS due
 WHERE delivery.id = due.id
RETURNING delivery.id
