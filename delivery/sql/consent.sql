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

-- name: choose_topic
-- The newest decision wins; of two at one moment, the one against contact.
INSERT INTO delivery_topicchoice (environment_id, topic_id, channel_bit, person_id, wanted, decided_at)
SELECT %(environment)s, %(topic)s, %(channel_bit)s, p.person_id, %(wanted)s, %(decided_at)s
FROM unnest(%(people)b::bigint[]) AS p(person_id)
ORDER BY p.person_id
ON CONFLICT (environment_id, topic_id, channel_bit, person_id) DO UPDATE
SET wanted = excluded.wanted, decided_at = excluded.decided_at
WHERE (excluded.decided_at, NOT excluded.wanted) >= (delivery_topicchoice.decided_at, NOT delivery_topicchoice.wanted)
