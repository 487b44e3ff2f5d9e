-- name: lock_vocabulary
-- 0x41564f43 is "AVOC": the first key keeps this lock apart from every other advisory lock.
SELECT pg_advisory_xact_lock(1096175427, %(environment)s::int)
