-- name: next_sequence
-- The row lock is held until commit, so readers of the log never see a later sequence before an earlier one.
INSERT INTO webhooks_outboxhead AS head (environment_id, sequence) VALUES (%(environment_id)s, 1)
ON CONFLICT (environment_id) DO UPDATE SET sequence = head.sequence + 1
RETURNING sequence

-- name: insert_internal
INSERT INTO webhooks_inboundevent
    (environment_id, event_id, source, type, occurred_at, received_at, last_seen_at, next_attempt_at, raw, sha256,
     headers, state, attempts, error, delivery_count, conflict)
VALUES
    (%(environment_id)s, %(event_id)s, 'internal', %(type)s, %(now)s, %(now)s, %(now)s, %(now)s, %(raw)s, %(sha256)s,
     '{}', 'received', 0, '', 1, false)
