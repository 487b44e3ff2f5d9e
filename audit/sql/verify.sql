-- name: chain_heads
SELECT id, key, sequence, head FROM audit_chain WHERE key = ANY(%(keys)s) ORDER BY key;

-- name: read_chain
-- Entries behind a place, in order of number, with the text that must have been hashed, built from the columns: what
-- comes before the changes, what stands between them and the 64 digits of the commitment, and what comes after those;
-- last the erasable words as they were committed to. Streamed by COPY: the next rows are built while we hash these.
SELECT entry.sequence, entry.id, entry.previous_hash, entry.content_hash, entry.hash, entry.canonical,
       '{"action":' || to_json(entry.action) || ',"actor":{"id":' || to_json(entry.actor_id)
           || ',"kind":' || to_json(entry.actor_kind) || ',"origin":' || to_json(entry.origin) || '},"after":',
       ',"environment":' || to_json(entry.environment_name) || ',"id":' || to_json(entry.public_id) || ',"labels":"',
       '","occurredAt":"' || to_char(entry.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           || '","outcome":' || to_json(entry.outcome) || ',"project":' || to_json(entry.project_public_id)
           || ',"reason":' || to_json(entry.reason) || ',"sequence":' || entry.sequence
           || ',"subject":{"id":' || to_json(entry.subject_id) || ',"type":' || to_json(entry.subject_type)
           || '},"trace":' || to_json(entry.trace_id) || ',"version":1,"workspace":'
           || to_json(entry.workspace_public_id) || '}',
       words.salt,
       '{"actor_ip":' || to_json(words.actor_ip) || ',"actor_label":' || to_json(words.actor_label)
           || ',"subject_name":' || to_json(words.subject_name) || '}'
FROM audit_auditentry entry
LEFT JOIN audit_entrylabel words ON words.entry_id = entry.id
WHERE entry.chain_id = %(chain_id)s AND (entry.sequence, entry.id) > (%(sequence)s, %(id)s)
ORDER BY entry.sequence, entry.id LIMIT %(limit)s;

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
SELECT seal.id, seal.digest, seal.batch_count,
       convert_from(entry.canonical, 'UTF8')::jsonb -> 'after' ->> 'digest'
FROM audit_ledgerseal seal
LEFT JOIN audit_auditentry entry
  ON entry.environment_id = seal.environment_id AND entry.action = 'ledger.sealed'
 AND entry.subject_type = 'ledger_seal' AND entry.subject_id = seal.public_id
WHERE seal.environment_id = %(environment_id)s
ORDER BY seal.id;
