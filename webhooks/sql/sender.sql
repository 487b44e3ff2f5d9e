-- name: claim_deliveries
-- The attempt is counted and committed before a byte leaves. A few of each endpoint that anything waits for: a loose
-- scan of the queue's index finds the endpoints, so the cost grows with them and not with what waits. Of an ordered
-- endpoint only the first that is due: a later one goes on when the earlier one was tried `ordered_attempts` times in
-- vain (its `detail` says why; it is empty before the first try and while a request is under way).
WITH RECURSIVE waiting AS (
    (SELECT endpoint_id FROM webhooks_delivery WHERE status = 'pending' ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT endpoint_id FROM webhooks_delivery
             WHERE status = 'pending' AND endpoint_id > waiting.endpoint_id ORDER BY endpoint_id LIMIT 1)
      FROM waiting WHERE waiting.endpoint_id IS NOT NULL
), due AS (
    SELECT found.id
      FROM waiting JOIN webhooks_endpoint AS endpoint ON endpoint.id = waiting.endpoint_id
     CROSS JOIN LATERAL (
        (SELECT id, next_attempt_at FROM webhooks_delivery
          WHERE NOT endpoint.ordered
            AND endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= %(now)s
          ORDER BY next_attempt_at, id LIMIT %(per_endpoint)s)
        UNION ALL
        (SELECT id, next_attempt_at FROM webhooks_delivery
          WHERE endpoint.ordered
            AND endpoint_id = endpoint.id AND status = 'pending' AND next_attempt_at <= %(now)s
            AND event_id <= coalesce((
                SELECT event_id FROM webhooks_delivery
                 WHERE endpoint_id = endpoint.id AND status = 'pending'
                   AND (detail = '' OR attempts < %(ordered_attempts)s)
                 ORDER BY event_id LIMIT 1), 9223372036854775807)
          ORDER BY event_id LIMIT 1)
     ) AS found
     ORDER BY found.next_attempt_at, found.id LIMIT %(limit)s
), claimed AS (
    UPDATE webhooks_delivery AS delivery
       SET attempts = delivery.attempts + 1, next_attempt_at = %(lease_ends)s, detail = ''
      FROM (SELECT id FROM webhooks_delivery
             WHERE id IN (SELECT id FROM due) AND status = 'pending' AND next_attempt_at <= %(now)s
               FOR UPDATE SKIP LOCKED) AS free
     WHERE delivery.id = free.id
    RETURNING delivery.id, delivery.attempts, delivery.endpoint_id, delivery.event_id
)
SELECT claimed.id, claimed.attempts, claimed.endpoint_id, event.public_id, event.type, event.payload
  FROM claimed JOIN webhooks_outboxevent AS event ON event.id = claimed.event_id
 ORDER BY claimed.event_id

-- name: settle_delivered
-- `attempts` is the fence: a worker whose lease ran out settles nothing.
UPDATE webhooks_delivery AS delivery
   SET status = 'delivered', response_code = done.code, detail = '', settled_at = done.settled_at
  FROM unnest(%(ids)b::bigint[], %(numbers)b::int[], %(codes)b::int[], %(settled_ats)b::timestamptz[])
       AS done (id, number, code, settled_at)
 WHERE delivery.id = done.id AND delivery.attempts = done.number AND delivery.status = 'pending'

-- name: endpoints_recovered
UPDATE webhooks_endpoint SET failing_since = NULL WHERE failing_since IS NOT NULL AND id = ANY(%(endpoint_ids)s)

-- name: log_attempts
INSERT INTO webhooks_deliveryattempt
    (environment_id, public_id, delivery_id, number, started_at, duration_ms, request_headers, response_code,
     response_headers, excerpt, detail)
SELECT environment_id, public_id, delivery_id, number, started_at, duration_ms, request_headers::jsonb, response_code,
       response_headers::jsonb, excerpt, detail
  FROM unnest(%(environment_ids)b::bigint[], %(public_ids)b::text[], %(ids)b::bigint[], %(numbers)b::int[],
              %(started_ats)b::timestamptz[], %(durations)b::int[], %(request_headers)b::text[], %(codes)b::int[],
              %(response_headers)b::text[], %(excerpts)b::text[], %(details)b::text[])
       AS tried (environment_id, public_id, delivery_id, number, started_at, duration_ms, request_headers,
                 response_code, response_headers, excerpt, detail)

-- name: forget_attempts
-- The request log has an age; deliveries and events stay.
DELETE FROM webhooks_deliveryattempt
 WHERE id IN (SELECT id FROM webhooks_deliveryattempt WHERE started_at < %(before)s ORDER BY started_at LIMIT %(limit)s)
