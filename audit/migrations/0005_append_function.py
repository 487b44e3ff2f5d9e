"""Appending to a chain, as a function: planning the statement took longer than running it."""

from django.db import migrations

APPEND = """
CREATE FUNCTION audit_append(
    p_key text, p_before_number bytea, p_after_number bytea, p_public_id text, p_environment bigint, p_workspace text,
    p_project text, p_environment_name text, p_actor_kind text, p_actor_id text, p_origin text, p_action text,
    p_subject_type text, p_subject_id text, p_trace_id text, p_reason text, p_outcome text, p_occurred_at timestamptz,
    p_salt bytea, p_actor_label text, p_actor_ip text, p_subject_name text
) RETURNS TABLE (
    id bigint, chain_id bigint, sequence bigint, previous_hash bytea, canonical bytea, content_hash bytea, hash bytea
) LANGUAGE plpgsql AS $$
-- No row when there is no such chain yet. Whoever holds the chain's row writes the next entry, so a chain can't fork.
-- The number stands inside what is hashed: the text comes in halves.
#variable_conflict use_column
BEGIN
    SELECT chain.id, chain.sequence + 1, chain.head INTO chain_id, sequence, previous_hash
    FROM audit_chain chain WHERE chain.key = p_key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    audit_append.canonical := p_before_number || convert_to(audit_append.sequence::text, 'UTF8') || p_after_number;
    audit_append.content_hash := sha256(audit_append.canonical);
    audit_append.hash := sha256(
        audit_append.previous_hash || int8send(audit_append.sequence) || audit_append.content_hash);
    INSERT INTO audit_auditentry AS entry (
        public_id, chain_id, sequence, previous_hash, content_hash, hash, canonical, environment_id,
        workspace_public_id, project_public_id, environment_name, actor_kind, actor_id, origin, action, subject_type,
        subject_id, trace_id, reason, outcome, occurred_at)
    VALUES (
        p_public_id, audit_append.chain_id, audit_append.sequence, audit_append.previous_hash,
        audit_append.content_hash, audit_append.hash, audit_append.canonical, p_environment, p_workspace, p_project,
        p_environment_name, p_actor_kind, p_actor_id, p_origin, p_action, p_subject_type, p_subject_id, p_trace_id,
        p_reason, p_outcome, p_occurred_at)
    RETURNING entry.id INTO audit_append.id;
    INSERT INTO audit_entrylabel (entry_id, salt, actor_label, actor_ip, subject_name)
    VALUES (audit_append.id, p_salt, p_actor_label, p_actor_ip, p_subject_name);
    UPDATE audit_chain chain SET sequence = audit_append.sequence, head = audit_append.hash
    WHERE chain.id = audit_append.chain_id;
    RETURN NEXT;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_statements_and_reports")]

    operations = [migrations.RunSQL(APPEND, "DROP FUNCTION audit_append;")]
