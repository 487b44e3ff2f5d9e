-- name: reason_now
-- Part of every claim: why `m` must not be contacted, by what holds now; 0 where nothing speaks against it.
CASE WHEN f.membership IS DISTINCT FROM 2 THEN 1
     WHEN f.consent_mask & %(channel_bit)s = 0 THEN 5
     WHEN f.unsubscribed_mask & %(channel_bit)s <> 0 THEN 6
     -- topic: null for most jobs, and then nothing of this is evaluated
     WHEN %(topic)s::bigint IS NOT NULL AND EXISTS (
         SELECT FROM delivery_topicchoice t
         WHERE t.environment_id = %(environment)s AND t.topic_id = %(topic)s
           AND t.channel_bit = %(channel_bit)s AND t.person_id = m.person_id AND NOT t.wanted) THEN 6
     WHEN %(topic)s::bigint IS NOT NULL AND NOT EXISTS (
         SELECT FROM delivery_topicchoice t
         WHERE t.environment_id = %(environment)s AND t.topic_id = %(topic)s
           AND t.channel_bit = %(channel_bit)s AND t.person_id = m.person_id AND t.wanted) AND EXISTS (
         SELECT FROM delivery_topic t
         WHERE t.environment_id = %(environment)s AND t.id = %(topic)s AND t.opt_in) THEN 5
     WHEN f.suppressed_mask & %(channel_bit)s <> 0 OR EXISTS (
         SELECT 1 FROM delivery_suppression s
         WHERE s.environment_id = %(environment)s AND s.channel = %(channel)s
           AND lower(s.address) = lower(m.address)) THEN 7
     ELSE 0 END

-- name: facts_now
-- Part of every claim: the facts `f` of the person `m`.
-- LATERAL with a limit: one look-up in the primary key a person, also while the tables have no statistics yet
LEFT JOIN LATERAL (
    SELECT membership, consent_mask, unsubscribed_mask, suppressed_mask FROM audiences_personfacts f
    WHERE f.person_id = m.person_id AND f.environment_id = %(environment)s LIMIT 1) f ON true
