-- name: books_beside
-- What stands beside the postings of a job, in one round trip: the plan, the last comparison, overlays, open
-- differences, and the newest signed statement.
SELECT book.planned, book.score, book.reconciled_at, counters.complained, counters.unsubscribed, counters.opened,
       counters.clicked,
       (SELECT count(*) FROM audit_break difference
        WHERE difference.environment_id = book.environment_id AND difference.job_id = book.job_id
          AND difference.state = 'open'),
       signed.number, signed.issued_at, signed.key, signed.signature, signed.note
FROM audit_book book
JOIN delivery_jobcounters counters ON counters.job_id = book.job_id
LEFT JOIN LATERAL (
    SELECT number, issued_at, key, signature, note FROM audit_statement
    WHERE environment_id = book.environment_id AND job_id = book.job_id ORDER BY number DESC LIMIT 1
) signed ON true
WHERE book.environment_id = %(environment)s AND book.job_id = %(job)s;
