-- name: lock_partitions
-- One builder of partitions at a time. 0x41534e51 is "ASNQ".
SELECT pg_advisory_xact_lock(1095978577, 0)

-- name: create_partition
CREATE TABLE {table} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)

-- name: attach_partition
-- Takes a lock that lets everybody read and write on, unlike CREATE TABLE … PARTITION OF.
ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({first}) TO ({following})
