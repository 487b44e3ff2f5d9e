-- name: messages_by_account
-- Where the message rows of one job stand: the second witness beside the ledger. Reads the job's key range once.
SELECT account, count(*) FROM delivery_message
WHERE environment_id = %(environment)s AND job_id = %(job)s
GROUP BY account
