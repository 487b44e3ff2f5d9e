-- name: create_chain
-- Two first writers race here; the second one finds the row of the first.
INSERT INTO audit_chain (key, environment_id, workspace_id, sequence, head, kept_from, emptied_through)
VALUES (%(key)s, %(environment_id)s, %(workspace_id)s, 0, %(head)s, 1, 0)
ON CONFLICT (key) DO NOTHING;

-- name: append_entry
-- Locked, numbered, hashed and written in one round trip: nobody waits while a client thinks. Whoever holds the chain's
-- row writes the next entry, so a chain can't fork. The number stands inside what is hashed: the text comes in halves.
WITH head AS MATERIALIZED (
    SELECT id, sequence + 1 AS sequence, head AS previous_hash FROM audit_chain WHERE key = %(key)s FOR UPDATE
), written AS MATERIALIZED (
    SELECT id, sequence, previous_hash,
           %(before_number)s::bytea || convert_to(sequence::text, 'UTF8') || %(after_number)s::bytea AS canonical
    FROM head
), hashed AS MATERIALIZED (
    SELECT id, sequence, previous_hash, canonical, sha256(canonical) AS content_hash,
           sha256(previous_hash || int8send(sequence) || sha256(canonical)) AS hash
    FROM written
), entry AS (
    INSERT INTO audit_auditentry (
        public_id, chain_id, sequence, previous_hash, content_hash, hash, canonical, environment_id,
        workspace_public_id, project_public_id, environment_name, actor_kind, actor_id, origin, action,
        subject_type, subject_id, trace_id, reason, outcome, occurred_at)
    SELECT
        %(public_id)s, id, sequence, previous_hash, content_hash, hash, canonical, %(environment_id)s::bigint,
        %(workspace_public_id)s, %(project_public_id)s, %(environment_name)s, %(actor_kind)s,
        %(actor_id)s, %(origin)s, %(action)s, %(subject_type)s, %(subject_id)s, %(trace_id)s,
        %(reason)s, %(outcome)s, %(occurred_at)s::timestamptz
    FROM hashed
    RETURNING id
), words AS (
    INSERT INTO audit_entrylabel (entry_id, salt, actor_label, actor_ip, subject_name)
    SELECT id, %(salt)s::bytea, %(actor_label)s, %(actor_ip)s, %(subject_name)s FROM entry
), moved AS (
    UPDATE audit_chain chain SET sequence = hashed.sequence, head = hashed.hash FROM hashed WHERE chain.id = hashed.id
)
SELECT entry.id, hashed.id, hashed.sequence, hashed.previous_hash, hashed.canonical, hashed.content_hash, hashed.hash
FROM entry, hashed;

-- name: empty_entries
-- Contents and names of a run go, hashes and numbers stay. The trigger lets an entry be emptied once, and nothing else.
WITH old AS (
    SELECT id FROM audit_auditentry
    WHERE chain_id = %(chain_id)s AND sequence > %(after)s AND sequence <= %(through)s
      AND canonical IS NOT NULL AND action <> ALL(%(kept)s)
), words AS (
    DELETE FROM audit_entrylabel label USING old WHERE label.entry_id = old.id
)
UPDATE audit_auditentry entry
SET canonical = NULL, workspace_public_id = '', project_public_id = '', environment_name = '', actor_kind = '',
    actor_id = '', origin = '', action = '', subject_type = '', subject_id = '', trace_id = '', reason = ''
FROM old WHERE entry.id = old.id;
