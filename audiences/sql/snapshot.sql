-- name: lock_purpose
-- One taker per purpose at a time; the second finds the first one's snapshot. 0x41534e50 is "ASNP".
SELECT pg_advisory_xact_lock(1095978576, hashtext(%(purpose)s))

-- name: next_snapshot_id
SELECT nextval(pg_get_serial_sequence('audiences_snapshot', 'id'))

-- name: freeze
-- One pass. Everyone the rule matched becomes included, or left out for the first reason that holds. Of people with one
-- address the one is kept whom the fewest reasons speak against, then the one known longest. A template for
-- psycopg.sql: rule, address and merge fields are put in by snapshot.py. The digest is summed over what was stored.
WITH matched AS (
    SELECT
        p.id AS person_id, {address} AS address, {truth} AS truth, {fields} AS fields,
        CASE
            WHEN f.membership <> 2 THEN 1
            WHEN {address} = '' THEN 2
            WHEN NOT ({valid}) THEN 3
        END AS early,
        CASE
            WHEN f.consent_mask & %(channel)s = 0 THEN 5
            WHEN f.unsubscribed_mask & %(channel)s <> 0 THEN 6
            WHEN f.suppressed_mask & %(channel)s <> 0 THEN 7
            ELSE 0
        END AS late
    FROM audiences_personfacts AS f
    JOIN audiences_person AS p ON p.id = f.person_id AND p.environment_id = f.environment_id
    WHERE f.environment_id = %(environment)s AND p.erased_at IS NULL AND ({predicate})
),
judged AS (
    SELECT
        person_id, address, truth, fields,
        CASE
            WHEN early IS NOT NULL THEN early
            WHEN row_number() OVER (PARTITION BY early, lower(address) COLLATE "C" ORDER BY late, person_id) > 1 THEN 4
            ELSE late
        END AS reason
    FROM matched
),
placed AS (
    SELECT
        *, row_number() OVER (PARTITION BY reason = 0 ORDER BY person_id)::int AS place
    FROM judged
),
inserted AS (
    INSERT INTO audiences_snapshotmember
        (snapshot_id, environment_id, person_id, truth, taken_month, position, reason, address, fields)
    SELECT
        %(snapshot)s, %(environment)s, person_id, truth, %(month)s,
        CASE WHEN reason = 0 THEN place ELSE -place END, reason, address, CASE WHEN reason = 0 THEN fields END
    FROM placed
    RETURNING reason, audiences_member_hash(position, person_id, reason, truth, address, fields) AS hash
)
SELECT
    reason, count(*), coalesce(sum(substr(hash, 1, 8)::bigint), 0)::text, coalesce(sum(substr(hash, 9, 8)::bigint), 0)::text,
    pg_current_snapshot()::text
FROM inserted
GROUP BY reason
ORDER BY reason

-- name: watermark
SELECT pg_current_snapshot()::text

-- name: weigh
-- The same sums over the stored rows, with what must hold of their positions and people.
SELECT
    m.reason, count(*), coalesce(sum(substr(h.hash, 1, 8)::bigint), 0)::text,
    coalesce(sum(substr(h.hash, 9, 8)::bigint), 0)::text,
    min(m.position), max(m.position), count(*) FILTER (WHERE p.id IS NULL OR m.environment_id <> %(environment)s)
FROM audiences_snapshotmember AS m
CROSS JOIN LATERAL audiences_member_hash(m.position, m.person_id, m.reason, m.truth, m.address, m.fields) AS h (hash)
LEFT JOIN audiences_person AS p ON p.id = m.person_id AND p.environment_id = %(environment)s
WHERE m.taken_month = %(month)s AND m.snapshot_id = %(snapshot)s
GROUP BY m.reason
ORDER BY m.reason
