-- name: take_turns
-- Whoever names the same thing waits here until the other's transaction has ended.
SELECT pg_advisory_xact_lock(hashtextextended(%(name)s, 0));

-- name: standing
-- All that a judgement needs, in one round trip. A function of the database, so that its plan is made once a session.
SELECT * FROM limits_standing(%(workspace_id)s, %(at)s, %(pool)s, %(environment_id)s, %(purpose)s);

-- name: make_counters
INSERT INTO limits_usagecounter (pool, limit_key, period_start, period_end, used, reserved)
SELECT %(pool)s, new.limit_key, new.period_start, new.period_end, 0, 0
FROM unnest(%(keys)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
     AS new (limit_key, period_start, period_end)
ORDER BY new.limit_key, new.period_start
ON CONFLICT (pool, limit_key, period_start) DO NOTHING;

-- name: lock_counters
-- The sort comes before the lock, so everybody locks in the order of the keys and nobody deadlocks.
SELECT counter.limit_key, counter.used, counter.reserved
FROM limits_usagecounter counter
JOIN unnest(%(keys)s::text[], %(starts)s::timestamptz[]) AS asked (limit_key, period_start)
  ON counter.limit_key = asked.limit_key AND counter.period_start = asked.period_start
WHERE counter.pool = %(pool)s
ORDER BY counter.limit_key, counter.period_start
FOR UPDATE OF counter;

-- name: reserve
-- A function of the database: one round trip, and the counters are locked last. NULL: a counter would pass its ceiling.
SELECT limits_reserve(
    %(environment_id)s, %(pool)s, %(purpose)s, %(public_id)s, %(at)s, %(expires_at)s, %(plan)s, %(asks)s::jsonb,
    %(overage_quantity)s, %(grace_quantity)s, %(overage_amount)s, %(actor_id)s, %(actor_label)s, %(created_at)s,
    %(line_ids)s::text[], %(keys)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
    %(quantities)s::bigint[], %(ceilings)s::bigint[], %(judged)s::bigint[]);

-- name: settle
-- One round trip per chunk: the entry decides whether this event is new; line and counter move only if it is.
-- More than what is held counts as used as well: what was accepted is the truth, also past a limit.
WITH line AS (
    SELECT id, limit_key, period_start, held, LEAST(held, %(quantity)s) AS from_hold
    FROM limits_reservationline
    WHERE environment_id = %(environment_id)s AND reservation_id = %(reservation_id)s AND limit_key = %(key)s
), entry AS (
    INSERT INTO limits_usageentry (environment_id, pool, limit_key, period_start, delta_used, delta_reserved, reason,
                                   reservation_id, event_key, occurred_at)
    SELECT %(environment_id)s, %(pool)s, limit_key, period_start, %(quantity)s, -from_hold, 'settle',
           %(reservation_id)s, %(event_key)s, %(now)s
    FROM line
    ON CONFLICT (environment_id, reservation_id, limit_key, event_key) DO NOTHING
    RETURNING delta_used, delta_reserved
), moved_line AS (
    UPDATE limits_reservationline AS target
    SET held = target.held + entry.delta_reserved, used = target.used + entry.delta_used
    FROM line, entry WHERE target.id = line.id
)
UPDATE limits_usagecounter AS counter
SET used = counter.used + entry.delta_used, reserved = counter.reserved + entry.delta_reserved
FROM line, entry
WHERE counter.pool = %(pool)s AND counter.limit_key = line.limit_key AND counter.period_start = line.period_start
RETURNING counter.used, counter.reserved, counter.period_end, entry.delta_used + entry.delta_reserved;

-- name: end_lines
-- What is still held goes back; lines of `to_use` count as used instead (a launch that sent something).
WITH line AS (
    SELECT id, limit_key, period_start, held, (limit_key = ANY(%(to_use)s::text[])) AS uses
    FROM limits_reservationline
    WHERE environment_id = %(environment_id)s AND reservation_id = %(reservation_id)s AND held > 0
), entry AS (
    INSERT INTO limits_usageentry (environment_id, pool, limit_key, period_start, delta_used, delta_reserved, reason,
                                   reservation_id, event_key, occurred_at)
    SELECT %(environment_id)s, %(pool)s, limit_key, period_start, CASE WHEN uses THEN held ELSE 0 END, -held,
           %(reason)s, %(reservation_id)s, %(reason)s, %(now)s
    FROM line
), ended AS (
    UPDATE limits_reservationline AS target
    SET held = 0, used = target.used + CASE WHEN line.uses THEN line.held ELSE 0 END
    FROM line WHERE target.id = line.id
)
UPDATE limits_usagecounter AS counter
SET reserved = counter.reserved - line.held, used = counter.used + CASE WHEN line.uses THEN line.held ELSE 0 END
FROM line
WHERE counter.pool = %(pool)s AND counter.limit_key = line.limit_key AND counter.period_start = line.period_start;

-- name: drifted_counters
-- The proof: every counter against the sum of its entries.
SELECT counter.pool, counter.limit_key, counter.period_start
FROM limits_usagecounter counter
LEFT JOIN LATERAL (
    SELECT coalesce(sum(delta_used), 0) AS used, coalesce(sum(delta_reserved), 0) AS reserved
    FROM limits_usageentry entry
    WHERE entry.pool = counter.pool AND entry.limit_key = counter.limit_key
      AND entry.period_start = counter.period_start
) truth ON true
WHERE (counter.period_end IS NULL OR counter.period_end > %(since)s)
  AND (counter.used <> truth.used OR counter.reserved <> truth.reserved);

-- name: restore_counters
-- A counter that is gone, made anew at zero from the lines that moved it; the proof then finds what it should be.
INSERT INTO limits_usagecounter (pool, limit_key, period_start, period_end, used, reserved)
SELECT DISTINCT reservation.pool, line.limit_key, line.period_start, line.period_end, 0, 0
FROM limits_reservationline line
JOIN limits_reservation reservation ON reservation.id = line.reservation_id
WHERE (line.period_end IS NULL OR line.period_end > %(since)s)
  AND NOT EXISTS (
      SELECT FROM limits_usagecounter counter
      WHERE counter.pool = reservation.pool AND counter.limit_key = line.limit_key
        AND counter.period_start = line.period_start)
ON CONFLICT (pool, limit_key, period_start) DO NOTHING;

-- name: entry_sums
SELECT coalesce(sum(delta_used), 0)::bigint, coalesce(sum(delta_reserved), 0)::bigint
FROM limits_usageentry
WHERE pool = %(pool)s AND limit_key = %(key)s AND period_start = %(period_start)s;

-- name: lock_counters_of
-- The same order as lock_counters, before a reservation gives back what it holds.
SELECT counter.id
FROM limits_usagecounter counter
JOIN limits_reservationline line
  ON line.limit_key = counter.limit_key AND line.period_start = counter.period_start
WHERE line.environment_id = %(environment_id)s AND line.reservation_id = %(reservation_id)s
  AND counter.pool = %(pool)s
ORDER BY counter.limit_key, counter.period_start
FOR UPDATE OF counter;

-- name: held_reservation
-- Locked by its own row: settle, release and expiry of one purpose take turns.
SELECT id, pool, state, expires_at FROM limits_reservation
WHERE environment_id = %(environment_id)s AND purpose = %(purpose)s
ORDER BY id DESC LIMIT 1 FOR UPDATE;

-- name: insert_warning
INSERT INTO limits_limitwarning
    (public_id, environment_id, pool, limit_key, period_start, threshold, current, allowed, crossed_at)
VALUES (%(public_id)s, %(environment_id)s, %(pool)s, %(limit_key)s, %(period_start)s, %(threshold)s, %(current)s,
        %(allowed)s, %(crossed_at)s)
ON CONFLICT (pool, limit_key, period_start, threshold) DO NOTHING
RETURNING id;
