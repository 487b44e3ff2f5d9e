-- name: events_outside_their_endpoints_environment
-- Mass rows have no foreign keys; this shows that none disagrees with the endpoint that received it. Always empty.
SELECT event.environment_id, event.event_id
  FROM webhooks_inboundevent AS event JOIN webhooks_endpoint AS endpoint ON endpoint.id = event.endpoint_id
 WHERE endpoint.environment_id <> event.environment_id

-- name: conflicts_without_their_first
SELECT conflict.environment_id, conflict.event_id
  FROM webhooks_inboundconflict AS conflict
 WHERE NOT EXISTS (SELECT FROM webhooks_inboundevent AS event
                    WHERE event.environment_id = conflict.environment_id AND event.event_id = conflict.event_id)
