-- name: lock_relay
-- Who counts the connections of a relay counts alone, for as long as this transaction.
SELECT pg_advisory_xact_lock(hashtextextended(%(relay)s, 7261))

-- name: forget_relay_uses
DELETE FROM delivery_relayuse WHERE relay = %(relay)s AND until < clock_timestamp()

-- name: use_relay
-- A fair part of the relay, of what is free of it; never less than what is open already. Who gets nothing keeps a row
-- too, so that the others see that somebody waits. Returns what is granted, and the fair part.
WITH others AS (
    SELECT count(*) AS processes, coalesce(sum(connections), 0) AS used,
           count(*) FILTER (WHERE environment_id = %(environment)s) AS processes_within,
           coalesce(sum(connections) FILTER (WHERE environment_id = %(environment)s), 0) AS used_within
    FROM delivery_relayuse WHERE relay = %(relay)s AND owner <> %(owner)s
), part AS (
    SELECT least(greatest(1, %(most)s::int / (processes + 1)),
                 greatest(1, %(within)s::int / (processes_within + 1))) AS fair,
           greatest(0, least(%(most)s::int - used, %(within)s::int - used_within)) AS free
    FROM others
), mine AS (
    SELECT fair, greatest(least(fair, free), %(opened)s::int) AS granted FROM part
)
INSERT INTO delivery_relayuse AS u (relay, owner, environment_id, connections, until)
SELECT %(relay)s, %(owner)s, %(environment)s, granted,
       clock_timestamp() + make_interval(secs => CASE WHEN granted > 0 THEN %(seconds)s ELSE %(wish)s END)
FROM mine
ON CONFLICT (relay, owner) DO UPDATE
SET environment_id = excluded.environment_id, connections = excluded.connections, until = excluded.until
RETURNING connections, (SELECT fair FROM mine)

-- name: forget_relay_owner
-- A worker that lost its lease is taken for dead: its connections ended with it, and others need not wait for its time.
DELETE FROM delivery_relayuse WHERE owner = %(owner)s

-- name: leave_relay
DELETE FROM delivery_relayuse WHERE relay = %(relay)s AND owner = %(owner)s
