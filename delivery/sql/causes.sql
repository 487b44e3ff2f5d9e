-- name: commonest_failure
-- What most of the first failures say. Reads a bounded part of `message_exceptional`.
SELECT detail
FROM (SELECT detail
      FROM delivery_message
      WHERE environment_id = %(environment)s AND job_id = %(job)s AND exception = ANY(%(accounts)s)
      LIMIT %(most)s) AS failures
WHERE detail <> ''
GROUP BY detail
ORDER BY count(*) DESC, detail
LIMIT 1
