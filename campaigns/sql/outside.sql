-- name: more_memory
-- Until the transaction ends: a million positions are grouped without touching the disk.
SELECT set_config('work_mem', '64MB', true);

-- name: messages_of_job
-- Where the messages stand, and how many of them were accepted long ago and not heard of since.
SELECT account, count(*), count(*) FILTER (WHERE account IN (4, 5) AND last_event_at < %(overdue)s)
FROM delivery_message
WHERE environment_id = %(environment)s AND job_id = %(job)s
GROUP BY account;

-- name: late_receipts
SELECT count(*) FROM delivery_receipt
WHERE environment_id = %(environment)s AND job_id = %(job)s AND received_at > %(late_after)s;

-- name: taken_twice
-- Messages that the outside says it took, or delivered, at two different moments. The same moment told twice is one fact.
SELECT count(*) FROM (
    SELECT position FROM delivery_receipt
    WHERE environment_id = %(environment)s AND job_id = %(job)s AND type = 'message.accepted'
    GROUP BY position HAVING min(occurred_at) < max(occurred_at)
    UNION
    SELECT position FROM delivery_receipt
    WHERE environment_id = %(environment)s AND job_id = %(job)s AND type = 'message.delivered'
    GROUP BY position HAVING min(occurred_at) < max(occurred_at)) twice;

-- name: contradicted
-- Two of delivered, rejected and failed about one message, or a final word about one that was never handed over. One side
-- of every such pair is rare: read those receipts and those messages (partial index), and compare only them.
SELECT count(*)
FROM (
    SELECT position FROM delivery_receipt
    WHERE environment_id = %(environment)s AND job_id = %(job)s AND type IN ('message.rejected', 'message.failed')
    UNION
    SELECT position FROM delivery_message
    WHERE environment_id = %(environment)s AND job_id = %(job)s AND exception IN (0, 8, 9, 10)) suspect
JOIN delivery_message m
  ON m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position = suspect.position
CROSS JOIN LATERAL (
    SELECT bit_or(CASE type WHEN 'message.delivered' THEN 1 WHEN 'message.rejected' THEN 2
                            WHEN 'message.failed' THEN 4 WHEN 'message.bounced' THEN 8 ELSE 0 END) AS finals
    FROM delivery_receipt r
    WHERE r.environment_id = m.environment_id AND r.job_id = m.job_id AND r.position = m.position) said
WHERE (said.finals | CASE m.account WHEN 6 THEN 1 WHEN 8 THEN 2 WHEN 9 THEN 4 ELSE 0 END) & 7 IN (3, 5, 6, 7)
   OR m.account IN (0, 10) AND said.finals > 0;

-- name: unsubscribed_but_sent
-- People whose newest decision before their own hand-off was to get nothing, and who were contacted all the same. The
-- hand-off is when the outside first took the message; where nobody told, when its outcome was ours, else when the
-- sending began. Who never left is not looked at.
SELECT count(*)
FROM (
    SELECT DISTINCT person_id FROM delivery_consentevent
    WHERE environment_id = %(environment)s AND channel = %(channel)s AND topic IN ('', %(topic)s)
      AND person_id IS NOT NULL AND action IN ('unsubscribed', 'withdrawn')
) gone
JOIN delivery_message m
  ON m.environment_id = %(environment)s AND m.person_id = gone.person_id AND m.job_id = %(job)s
CROSS JOIN LATERAL (
    SELECT coalesce(min(r.occurred_at), CASE WHEN m.account IN (3, 4) THEN m.settled_at END, %(began)s) AS handed_at
    FROM delivery_receipt r
    WHERE r.environment_id = m.environment_id AND r.job_id = m.job_id AND r.position = m.position
      AND r.type = 'message.accepted'
) taken
CROSS JOIN LATERAL (
    SELECT c.action FROM delivery_consentevent c
    WHERE c.environment_id = m.environment_id AND c.person_id = m.person_id AND c.channel = %(channel)s
      AND c.topic IN ('', %(topic)s) AND c.occurred_at < taken.handed_at
      AND c.action IN ('unsubscribed', 'resubscribed', 'withdrawn', 'consented')
    ORDER BY c.occurred_at DESC, c.id DESC LIMIT 1
) decided
WHERE decided.action IN ('unsubscribed', 'withdrawn') AND m.account IN (3, 4, 5, 6, 7);

-- name: expects_receipts
-- Whether anybody outside reports here: a provider's endpoint, or receipts of this job.
SELECT EXISTS (SELECT 1 FROM webhooks_endpoint
               WHERE environment_id = %(environment)s AND direction = 'in' AND kind = 'provider')
    OR EXISTS (SELECT 1 FROM delivery_receipt WHERE environment_id = %(environment)s AND job_id = %(job)s);

-- name: unmatched_receipts
SELECT id, message_id FROM delivery_receipt
WHERE environment_id = %(environment)s AND job_id IS NULL AND id > %(after)s
ORDER BY id LIMIT %(limit)s;

-- name: events_set_aside
-- Quarantined because their envelope names another scope than their door, or parked because they name nothing here.
SELECT count(*) FROM webhooks_inboundevent
WHERE environment_id = %(environment)s AND state = %(state)s AND error LIKE %(begins)s;

-- name: waterfall_by_domain
-- The accounts of a job by the domain of the address; the largest first.
SELECT lower(split_part(address, '@', 2)) AS domain, account, count(*)
FROM delivery_message WHERE environment_id = %(environment)s AND job_id = %(job)s
GROUP BY 1, 2;

-- name: waterfall_by_wave
-- The accounts of a job in runs of positions, in the order in which people were contacted. `starts` are their firsts.
SELECT width_bucket(position, %(starts)s::int[]), account, count(*)
FROM delivery_message WHERE environment_id = %(environment)s AND job_id = %(job)s
GROUP BY 1, 2;

-- name: people_of_cell
-- Who stands behind one number: one account, of one domain or one run of positions. Keyset by position.
SELECT m.position, p.public_id, m.address, m.account, m.code, m.detail, m.last_event_at
FROM delivery_message m
LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position > %(after)s
  AND m.position BETWEEN %(first)s AND %(last)s AND m.account = ANY(%(accounts)s::smallint[])
  AND (%(domain)s = '' OR lower(split_part(m.address, '@', 2)) = %(domain)s)
ORDER BY m.position LIMIT %(size)s;

-- name: people_of_break
-- The messages of one break, by the same tests as above.
SELECT m.position, p.public_id, m.address, m.account, m.code, m.detail, m.last_event_at
FROM delivery_message m
LEFT JOIN LATERAL (
    SELECT min(occurred_at) FILTER (WHERE type = 'message.accepted')
               < max(occurred_at) FILTER (WHERE type = 'message.accepted')
               OR min(occurred_at) FILTER (WHERE type = 'message.delivered')
               < max(occurred_at) FILTER (WHERE type = 'message.delivered') AS twice,
           bit_or(CASE type WHEN 'message.delivered' THEN 1 WHEN 'message.rejected' THEN 2
                            WHEN 'message.failed' THEN 4 WHEN 'message.bounced' THEN 8 ELSE 0 END) AS finals,
           count(*) FILTER (WHERE received_at > %(late_after)s) AS late,
           coalesce(min(occurred_at) FILTER (WHERE type = 'message.accepted'),
                    CASE WHEN m.account IN (3, 4) THEN m.settled_at END, %(began)s) AS handed_at
    FROM delivery_receipt r
    WHERE r.environment_id = m.environment_id AND r.job_id = m.job_id AND r.position = m.position
) said ON true
LEFT JOIN audiences_person p ON p.id = m.person_id AND p.environment_id = m.environment_id
WHERE m.environment_id = %(environment)s AND m.job_id = %(job)s AND m.position > %(after)s
  AND CASE %(type)s
        WHEN 'missing_terminal' THEN m.account IN (4, 5) AND m.last_event_at < %(overdue)s
        WHEN 'duplicate_send' THEN said.twice
        WHEN 'state_conflict' THEN
             (said.finals | CASE m.account WHEN 6 THEN 1 WHEN 8 THEN 2 WHEN 9 THEN 4 ELSE 0 END) & 7 IN (3, 5, 6, 7)
             OR m.account IN (0, 10) AND said.finals > 0
        WHEN 'late_event' THEN said.late > 0
        WHEN 'unsubscribed_but_sent' THEN m.account IN (3, 4, 5, 6, 7) AND (
             SELECT c.action FROM delivery_consentevent c
             WHERE c.environment_id = m.environment_id AND c.person_id = m.person_id AND c.channel = %(channel)s
               AND c.topic IN ('', %(topic)s) AND c.occurred_at < said.handed_at
               AND c.action IN ('unsubscribed', 'resubscribed', 'withdrawn', 'consented')
             ORDER BY c.occurred_at DESC, c.id DESC LIMIT 1) IN ('unsubscribed', 'withdrawn')
        ELSE false END
ORDER BY m.position LIMIT %(size)s;

-- name: books_to_review
-- Closed books whose counters moved since they were compared, that got a report since, whose settlement period just
-- ended, or that nobody looked at for a day. Reads the partial index of closed books.
SELECT b.environment_id, b.subject
FROM audit_book b JOIN delivery_jobcounters k ON k.job_id = b.job_id JOIN delivery_sendjob j ON j.id = b.job_id
WHERE b.closed_at > %(since)s
  AND (k.last_outcome_at > b.reconciled_at
       OR j.finished_at + %(settlement)s BETWEEN b.reconciled_at AND %(now)s
       OR b.reconciled_at < %(now)s - interval '1 day'
       OR EXISTS (SELECT 1 FROM audit_outsidereport r WHERE r.environment_id = b.environment_id
                  AND r.job_id = b.job_id AND r.made_at > b.reconciled_at))
  AND b.reconciled_at < %(now)s - interval '5 minutes'
ORDER BY b.reconciled_at LIMIT %(most)s;

-- name: environments_to_review
SELECT DISTINCT environment_id FROM delivery_receipt WHERE job_id IS NULL
UNION SELECT environment_id FROM webhooks_inboundevent WHERE state IN ('quarantined', 'parked')
UNION SELECT environment_id FROM audit_break WHERE job_id = 0 AND state = 'open';
