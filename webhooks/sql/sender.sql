-- name: claim_deliveries
-- The attempt is counted and committed before a byte leaves. A few of each endpoint, in order of their events. Of an
-- ordered endpoint only the first that waits: a later one goes on when the earlier one was tried `ordered_attempts`
-- times in vain (its `detail` says why; it is empty before the first try and while a request is under way).
UPDATE webhooks_delivery AS delivery
   SET attempts = delivery.attempts + 1, next_attempt_at = %(lease_ends)s, detail = ''
  FROM (SELECT id FROM webhooks_delivery
         WHERE status = 'pending' AND next_attempt_at <= %(now)s AND id IN (
               SELECT id FROM (
                   SELECT due.id, due.next_attempt_at, endpoint.ordered,
                          row_number() OVER (PARTITION BY due.endpoint_id ORDER BY due.event_id) AS place
                     FROM (SELECT id, endpoint_id, event_id, next_attempt_at FROM webhooks_delivery
                            WHERE status = 'pending' AND next_attempt_at <= %(now)s
                            ORDER BY next_attempt_at, id LIMIT %(look_at)s) AS due
                     JOIN webhooks_endpoint AS endpoint ON endpoint.id = due.endpoint_id
                    WHERE NOT endpoint.ordered
                       OR NOT EXISTS (SELECT FROM webhooks_delivery AS earlier
                                       WHERE earlier.endpoint_id = due.endpoint_id AND earlier.status = 'pending'
                                         AND earlier.event_id < due.event_id
                                         AND (earlier.detail = '' OR earlier.attempts < %(ordered_attempts)s))
               ) AS ranked
                WHERE place <= CASE WHEN ordered THEN 1 ELSE %(per_endpoint)s END
                ORDER BY next_attempt_at, id LIMIT %(limit)s)
           FOR UPDATE SKIP LOCKED) AS due
 WHERE delivery.id = due.id
RETURNING delivery.id

-- name: settle_delivered
-- `attempts` is the fence: a worker whose lease ran out settles nothing.
UPDATE webhooks_delivery AS delivery
   SET status = 'delivered', response_code = done.code, detail = '', settled_at = done.settled_at
  FROM unnest(%(ids)s::bigint[], %(numbers)s::int[], %(codes)s::int[], %(settled_ats)s::timestamptz[])
       AS done (id, number, code, settled_at)
 WHERE delivery.id = done.id AND delivery.attempts = done.number AND delivery.status = 'pending'

-- name: endpoints_recovered
UPDATE webhooks_endpoint SET failing_since = NULL
 WHERE failing_since IS NOT NULL AND id IN (SELECT endpoint_id FROM webhooks_delivery WHERE id = ANY(%(ids)s))

-- name: forget_attempts
-- The request log has an age; deliveries and events stay.
DELETE FROM webhooks_deliveryattempt
 WHERE id IN (SELECT id FROM webhooks_deliveryattempt WHERE started_at < %(before)s ORDER BY started_at LIMIT %(limit)s)
