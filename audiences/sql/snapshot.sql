-- name: lock_purpose
-- One taker per purpose at a time; the second finds the first one's snapshot. 0x41534e50 is "ASNP".
SELECT pg_advisory_xact_lock(1095978576, hashtext(%(purpose)s))

-- name: cancel_taker
-- The session that holds the purpose's lock, if any, loses its running statement.
SELECT pg_cancel_backend(pid)
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = 1095978576 AND objid::bigint = hashtext(%(purpose)s)::bigint & 4294967295
    AND pid <> pg_backend_pid()

-- name: next_snapshot_id
SELECT nextval(pg_get_serial_sequence('audiences_snapshot', 'id'))

-- name: judge
-- Everyone the rule matched, with the one reason that counts; snapshot and live count read the same. Of people with one
-- address the one is kept whom the fewest reasons of consent speak against, then the one known longest; what a campaign
-- leaves out counts for the kept one alone, so no mailbox of a held-out person is reached through a twin. Twins are
-- found by hashes first: sorting a million addresses took four times as long. A template for psycopg.sql.
WITH {history}matched AS MATERIALIZED (
    SELECT
        p.id AS person_id, {kept}, {listed} AS listed,
        CASE
            WHEN f.membership <> 2 THEN 1
            WHEN {address} = '' THEN 2
            WHEN NOT ({valid}) THEN 3
            ELSE 0
        END AS early,
        CASE
            WHEN f.consent_mask & %(channel)s = 0 OR {never_asked_for} THEN 5
            WHEN f.unsubscribed_mask & %(channel)s <> 0 OR {refused} THEN 6
            WHEN f.suppressed_mask & %(channel)s <> 0 THEN 7
            ELSE 0
        END AS late,
        hashtextextended(lower({address} COLLATE "C"), 0) AS hash
    FROM {people} AND ({predicate})
    {order}
),
shared AS (
    SELECT hash
    FROM matched
    WHERE early = 0 AND {can_be_shared}
    GROUP BY hash
    HAVING count(*) > 1
),
twins AS (
    SELECT person_id
    FROM (
        SELECT
            m.person_id,
            row_number() OVER (PARTITION BY lower(m.address COLLATE "C") ORDER BY m.late, m.person_id) AS rank
        FROM shared AS s
        JOIN matched AS m ON m.early = 0 AND m.hash = s.hash
    ) AS ranked
    WHERE rank > 1
),
judged AS (
    SELECT
        m.*,
        CASE
            WHEN m.early > 0 THEN m.early
            WHEN t.person_id IS NOT NULL THEN 4
            WHEN m.late > 0 THEN m.late
            WHEN {capped} THEN 8
            WHEN {held_out} THEN 9
            WHEN m.listed THEN 10
            ELSE 0
        END AS reason
    FROM matched AS m
    LEFT JOIN twins AS t ON t.person_id = m.person_id{joins}
)

-- name: freeze
-- After `judge`: positions 1, 2, … for the included and -1, -2, … for the others, in the order of people, in one pass.
, placed AS (
    SELECT
        *, (count(*) FILTER (WHERE reason = 0) OVER so_far)::int AS included, (row_number() OVER so_far)::int AS place
    FROM judged
    WINDOW so_far AS (ORDER BY person_id ROWS UNBOUNDED PRECEDING)
),
inserted AS (
    INSERT INTO audiences_snapshotmember
        (snapshot_id, environment_id, person_id, truth, taken_month, position, reason, address, fields)
    SELECT
        %(snapshot)s, %(environment)s, person_id, truth, %(month)s,
        CASE WHEN reason = 0 THEN included ELSE included - place END, reason, address,
        CASE WHEN reason = 0 THEN fields END
    FROM placed
    -- Told while it runs: a lock that every session sees at once, and that goes with the transaction. 0x41465257 is AFRW.
    WHERE CASE
        WHEN reason = 0 AND included %% %(step)s = 0
        THEN pg_try_advisory_xact_lock_shared(1095127639, included) IS NOT NULL
        ELSE TRUE
    END
)
SELECT pg_current_snapshot()::text

-- name: tell_written
SELECT pg_try_advisory_xact_lock_shared(1095127639, %(written)s)

-- name: freeze_progress
-- How far the holder of the purpose's lock is: 0 while it still matches, then how many people are written.
SELECT coalesce((
    SELECT max(told.objid::bigint)
    FROM pg_locks AS told
    WHERE told.locktype = 'advisory' AND told.classid = 1095127639 AND told.objsubid = 2 AND told.pid = taker.pid
), 0)
FROM pg_locks AS taker
WHERE taker.locktype = 'advisory' AND taker.granted AND taker.objsubid = 2
    AND taker.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND taker.classid = 1095978576 AND taker.objid::bigint = hashtext(%(purpose)s)::bigint & 4294967295

-- name: sum_members
-- The digest is summed over what was stored. Reading the rows again costs half of returning them from the INSERT.
SELECT
    reason, count(*), coalesce(sum(substr(hash, 1, 8)::bigint), 0)::text, coalesce(sum(substr(hash, 9, 8)::bigint), 0)::text
FROM (
    SELECT reason, audiences_member_hash(position, person_id, reason, truth, address, fields) AS hash
    FROM audiences_snapshotmember
    WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s
    OFFSET 0
) AS m
GROUP BY reason

-- name: count_variants
-- Of an A/B split: how many of the included get which message.
SELECT fields ->> 'variant', count(*)
FROM audiences_snapshotmember
WHERE taken_month = %(month)s AND snapshot_id = %(snapshot)s AND position > 0
GROUP BY 1

-- name: weigh
-- The same sums over the stored rows, with what must hold of their positions and people.
SELECT
    reason, count(*), coalesce(sum(substr(hash, 1, 8)::bigint), 0)::text, coalesce(sum(substr(hash, 9, 8)::bigint), 0)::text,
    min(position), max(position), count(*) FILTER (WHERE is_stranger)
FROM (
    SELECT
        m.reason, m.position, p.id IS NULL OR m.environment_id <> %(environment)s AS is_stranger,
        audiences_member_hash(m.position, m.person_id, m.reason, m.truth, m.address, m.fields) AS hash
    FROM audiences_snapshotmember AS m
    LEFT JOIN audiences_person AS p ON p.id = m.person_id AND p.environment_id = %(environment)s
    WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s
    OFFSET 0
) AS m
GROUP BY reason
ORDER BY reason
