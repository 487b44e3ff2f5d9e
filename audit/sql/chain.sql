-- name: create_chain
-- Two first writers race here; the second one finds the row of the first.
INSERT INTO audit_chain (key, environment_id, workspace_id, sequence, head, kept_from, emptied_through)
VALUES (%(key)s, %(environment_id)s, %(workspace_id)s, 0, %(head)s, 1, 0)
ON CONFLICT (key) DO NOTHING;

-- name: append_entry
-- Locked, numbered, hashed and written in one round trip: nobody waits while a client thinks. No row: no such chain yet.
SELECT * FROM audit_append(
    %(key)s, %(before_number)s, %(after_number)s, %(public_id)s, %(environment_id)s, %(workspace_public_id)s,
    %(project_public_id)s, %(environment_name)s, %(actor_kind)s, %(actor_id)s, %(origin)s, %(action)s,
    %(subject_type)s, %(subject_id)s, %(trace_id)s, %(reason)s, %(outcome)s, %(occurred_at)s, %(salt)s,
    %(actor_label)s, %(actor_ip)s, %(subject_name)s);

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
