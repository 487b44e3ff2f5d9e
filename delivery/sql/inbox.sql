-- name: insert_inbox
-- The place of the message is unique: a micro-batch that comes twice leaves one item.
INSERT INTO delivery_inboxitem (environment_id, person_id, job_id, position, title, text, html, created_at)
SELECT %(environment)s, i.person_id, %(job)s, i.position, i.title, i.text, i.html, %(now)s
FROM unnest(%(people)b::bigint[], %(positions)b::int[], %(titles)b::text[], %(texts)b::text[], %(htmls)b::text[])
     AS i(person_id, position, title, text, html)
ORDER BY i.position
ON CONFLICT (environment_id, job_id, position) DO NOTHING

-- name: fetch_inbox
-- The newest items of one person, in one index range. Which of them were never fetched before is decided under lock.
WITH shown AS MATERIALIZED (
    SELECT id FROM delivery_inboxitem
    WHERE environment_id = %(environment)s AND person_id = %(person)s AND id < %(before)s AND id > %(after)s
      AND (archived_at IS NOT NULL) = %(archived)s
    ORDER BY id DESC LIMIT %(most)s
), first AS (
    UPDATE delivery_inboxitem i SET fetched_at = %(now)s
    FROM (SELECT n.id FROM delivery_inboxitem n JOIN shown USING (id) WHERE n.fetched_at IS NULL
          ORDER BY n.id FOR UPDATE OF n) AS n
    WHERE i.id = n.id AND i.fetched_at IS NULL
    RETURNING i.id
)
SELECT i.id, i.job_id, i.position, i.title, i.text, i.html, i.created_at, i.read_at, i.archived_at,
       first.id IS NOT NULL
FROM delivery_inboxitem i JOIN shown USING (id) LEFT JOIN first USING (id)
ORDER BY i.id DESC

-- name: read_inbox_items
UPDATE delivery_inboxitem SET read_at = %(now)s, fetched_at = coalesce(fetched_at, %(now)s)
WHERE environment_id = %(environment)s AND person_id = %(person)s AND read_at IS NULL
  AND (%(ids)s::bigint[] IS NULL AND archived_at IS NULL AND id <= %(upto)s OR id = ANY(%(ids)s::bigint[]))
RETURNING id, job_id, position

-- name: archive_inbox_items
UPDATE delivery_inboxitem SET archived_at = CASE WHEN %(archived)s THEN coalesce(archived_at, %(now)s) END
WHERE environment_id = %(environment)s AND person_id = %(person)s AND id = ANY(%(ids)s::bigint[])
RETURNING id

-- name: unread_inbox
-- Counted as far as anybody reads it.
SELECT count(*) FROM (
    SELECT FROM delivery_inboxitem
    WHERE environment_id = %(environment)s AND person_id = %(person)s AND read_at IS NULL AND archived_at IS NULL
    LIMIT %(most)s) AS unread

-- name: newest_inbox_item
SELECT coalesce(max(id), 0) FROM delivery_inboxitem WHERE environment_id = %(environment)s AND person_id = %(person)s
