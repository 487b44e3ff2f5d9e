-- name: record_events
-- One statement for one event or a thousand, in the order given, which is that of the keys: two writers that got the
-- same events crosswise wait for each other instead of deadlocking. What few endpoints say about many events comes once,
-- and only keys that were there before come back.
WITH stored AS (
    INSERT INTO webhooks_inboundevent AS kept
        (environment_id, endpoint_id, event_id, source, received_at, last_seen_at, next_attempt_at, raw, sha256,
         headers, state, attempts, error, delivery_count, conflict)
    SELECT (%(environment_ids)b::bigint[])[place], (%(endpoint_ids)b::bigint[])[place], event_id,
           (%(sources)b::text[])[place], %(now)b, %(now)b, %(now)b, raw, sha256,
           (%(headers)b::text[])[place]::jsonb, 'received', 0, '', coalesce(delivery_count, 1), false
      FROM unnest(
        %(places)b::int2[], %(event_ids)b::text[], %(raws)b::bytea[], %(digests)b::bytea[], %(counts)b::int2[]
      ) AS each (place, event_id, raw, sha256, delivery_count)
    ON CONFLICT (environment_id, event_id) DO UPDATE
       SET delivery_count = kept.delivery_count + excluded.delivery_count, last_seen_at = excluded.last_seen_at
    RETURNING environment_id, event_id, sha256, xmax
)
SELECT environment_id, event_id, sha256 FROM stored WHERE xmax <> 0

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
