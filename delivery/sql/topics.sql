-- name: topic_refused
-- For the judgement of an audience: whoever said no to a topic. Read once by its key, then looked up by hash.
f.person_id IN (
    SELECT t.person_id
    FROM delivery_topicchoice AS t
    JOIN delivery_topic AS o ON o.environment_id = t.environment_id AND o.id = t.topic_id
    WHERE t.environment_id = %(environment)s AND o.slug = %(topic)s AND t.channel_bit = %(channel)s AND NOT t.wanted
)

-- name: topic_never_asked_for
-- Whoever never chose, where a topic is for those alone who said yes.
EXISTS (
    SELECT FROM delivery_topic AS o WHERE o.environment_id = %(environment)s AND o.slug = %(topic)s AND o.opt_in
)
AND f.person_id NOT IN (
    SELECT t.person_id
    FROM delivery_topicchoice AS t
    JOIN delivery_topic AS o ON o.environment_id = t.environment_id AND o.id = t.topic_id
    WHERE t.environment_id = %(environment)s AND o.slug = %(topic)s AND t.channel_bit = %(channel)s
)
