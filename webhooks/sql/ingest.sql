-- name: record_events
-- One statement for one event or a thousand. Ids follow the order of arrival; rows are inserted in key order, so that
-- two writers which got the same events crosswise wait for each other instead of deadlocking.
WITH arrived AS (
    SELECT nextval('webhooks_inboundevent_id_seq') AS id, each.*
      FROM unnest(
        %(environment_ids)b::bigint[], %(endpoint_ids)b::bigint[], %(event_ids)b::text[], %(sources)b::text[],
        %(received_ats)b::timestamptz[], %(raws)b::bytea[], %(digests)b::bytea[], %(headers)b::text[], %(counts)b::int[]
      ) AS each (environment_id, endpoint_id, event_id, source, received_at, raw, sha256, headers, delivery_count)
)
INSERT INTO webhooks_inboundevent AS kept
    (id, environment_id, endpoint_id, event_id, source, received_at, last_seen_at, next_attempt_at, raw, sha256,
     headers, state, attempts, error, delivery_count, conflict)
SELECT id, environment_id, endpoint_id, event_id, source, received_at, received_at, received_at, raw, sha256,
       headers::jsonb, 'received', 0, '', delivery_count, false
  FROM arrived
 ORDER BY environment_id, event_id
ON CONFLICT (environment_id, event_id) DO UPDATE
   SET delivery_count = kept.delivery_count + excluded.delivery_count, last_seen_at = excluded.last_seen_at
RETURNING environment_id, event_id, sha256, (xmax = 0)

-- name: keep_conflicts
-- The other bodies of ids already seen, each once, and the mark on the row that was first.
WITH other AS (
    SELECT * FROM unnest(
        %(environment_ids)b::bigint[], %(event_ids)b::text[], %(received_ats)b::timestamptz[], %(raws)b::bytea[],
        %(digests)b::bytea[]
    ) AS each (environment_id, event_id, received_at, raw, sha256)
), kept AS (
    INSERT INTO webhooks_inboundconflict (environment_id, event_id, received_at, raw, sha256)
    SELECT DISTINCT ON (environment_id, event_id, sha256) environment_id, event_id, received_at, raw, sha256 FROM other
    ON CONFLICT (environment_id, event_id, sha256) DO NOTHING
)
UPDATE webhooks_inboundevent AS event
   SET conflict = true
  FROM (SELECT DISTINCT environment_id, event_id FROM other) AS twice
 WHERE event.environment_id = twice.environment_id AND event.event_id = twice.event_id AND NOT event.conflict
