-- name: insert_suppressions
INSERT INTO delivery_suppression (environment_id, public_id, address, channel, reason, detail, source, created_at,
                                  created_by)
SELECT %(environment)s, s.public_id, s.address, %(channel)s, %(reason)s, s.detail, %(source)s, %(now)s, %(creator)s
FROM unnest(%(public_ids)b::text[], %(addresses)b::text[], %(details)b::text[]) AS s(public_id, address, detail)
ORDER BY s.address
ON CONFLICT DO NOTHING
RETURNING id

-- name: people_of_addresses
SELECT id, lower(email) FROM audiences_person
WHERE environment_id = %(environment)s AND lower(email) = ANY(%(addresses)b::text[])
