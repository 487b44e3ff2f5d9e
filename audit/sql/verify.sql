-- name: chain_heads
SELECT id, key, sequence, head FROM audit_chain WHERE key = ANY(%(keys)s) ORDER BY key;

-- name: read_chain
-- In order of number; the rest of the row is what the columns claim beside what was hashed.
SELECT entry.sequence, entry.previous_hash, entry.content_hash, entry.hash, entry.canonical, entry.public_id,
       entry.workspace_public_id, entry.project_public_id, entry.environment_name, entry.actor_kind, entry.actor_id,
       entry.origin, entry.action, entry.subject_type, entry.subject_id, entry.trace_id, entry.before, entry.after,
       entry.reason, entry.outcome, entry.occurred_at,
       words.salt, words.actor_label, words.actor_ip, words.subject_name
FROM audit_auditentry entry
LEFT JOIN audit_entrylabel words ON words.entry_id = entry.id
WHERE entry.chain_id = %(chain_id)s
ORDER BY entry.sequence, entry.id;

-- name: place_of_hash
-- Asked once, at the first break: where does the entry stand that this one claims to follow?
SELECT sequence FROM audit_auditentry WHERE chain_id = %(chain_id)s AND hash = %(hash)s ORDER BY sequence LIMIT 1;

-- name: read_ledger
SELECT batch_id, posting_key, source, target, quantity, reason, occurred_at
FROM audit_ledgerentry
WHERE environment_id = %(environment_id)s
ORDER BY batch_id;

-- name: read_batches
SELECT id, digest, entry_count, seal_id FROM audit_ledgerbatch
WHERE environment_id = %(environment_id)s
ORDER BY id;

-- name: read_seals
-- What a seal says, and what the chain says that it says.
SELECT seal.id, seal.digest, seal.batch_count, entry.after ->> 'digest'
FROM audit_ledgerseal seal
LEFT JOIN audit_auditentry entry
  ON entry.environment_id = seal.environment_id AND entry.action = 'ledger.sealed'
 AND entry.subject_type = 'ledger_seal' AND entry.subject_id = seal.public_id
WHERE seal.environment_id = %(environment_id)s
ORDER BY seal.id;
