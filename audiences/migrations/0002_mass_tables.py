"""What Django can't say: the members' partitioned table, storage, the address check, and rows that never change."""

import django.db.models.deletion
from django.db import migrations, models

MEMBERS = """
CREATE TABLE audiences_snapshotmember (
    snapshot_id    bigint   NOT NULL,
    environment_id bigint   NOT NULL,
    person_id      bigint   NOT NULL,
    truth          bigint   NOT NULL DEFAULT 0,
    taken_month    date     NOT NULL,
    position       integer  NOT NULL,
    reason         smallint NOT NULL,
    address        text     NOT NULL DEFAULT '',
    fields         jsonb,
    PRIMARY KEY (taken_month, snapshot_id, position),
    CONSTRAINT snapshot_position_says_inclusion CHECK ((position > 0) = (reason = 0) AND position <> 0)
) PARTITION BY RANGE (taken_month)
"""

STORAGE = """
ALTER TABLE audiences_personfacts SET (fillfactor = 80);
ALTER TABLE audiences_fact SET (fillfactor = 90)
"""

# 0 none, 1 valid, 2 invalid. The addr-spec of RFC 5321 without quoted local parts and address literals. Bounded
# repetition inside the pattern ({0,61}) made it seven times slower, so the length of labels is checked apart.
ADDRESS = r"""
CREATE FUNCTION audiences_address_state(address text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN address = '' THEN 0
        WHEN length(address) <= 254 AND strpos(address, '@') <= 65 AND address ~
            '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&''*+/=?^_`{|}~-]+)*@([A-Za-z0-9](-*[A-Za-z0-9])*\.)+[A-Za-z](-*[A-Za-z0-9])+$'
            AND (length(address) < 66 OR split_part(address, '@', 2) !~ '[^.]{64}')
        THEN 1
        ELSE 2
    END::smallint
$$
"""

# 32 bytes over everything a member row says; sums of it do not depend on the order of rows.
MEMBER_HASH = """
CREATE FUNCTION audiences_member_hash(
    place integer, person_id bigint, reason smallint, truth bigint, address text, fields jsonb
) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(concat_ws('|', place, person_id, reason, truth, address, fields), 'UTF8'))
$$
"""

FROZEN = """
CREATE FUNCTION audiences_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Take a new snapshot, or add a new version.';
END
$$;
CREATE TRIGGER audience_version_is_frozen BEFORE UPDATE OR DELETE ON audiences_audienceversion
    FOR EACH ROW EXECUTE FUNCTION audiences_refuse_change();
CREATE TRIGGER snapshot_is_frozen BEFORE UPDATE OR DELETE ON audiences_snapshot
    FOR EACH ROW EXECUTE FUNCTION audiences_refuse_change();
CREATE TRIGGER snapshot_member_is_frozen BEFORE UPDATE OR DELETE ON audiences_snapshotmember
    FOR EACH ROW EXECUTE FUNCTION audiences_refuse_change();
CREATE TRIGGER fact_history_is_frozen BEFORE UPDATE ON audiences_facthistory
    FOR EACH ROW EXECUTE FUNCTION audiences_refuse_change()
"""

UNFROZEN = """
DROP TRIGGER fact_history_is_frozen ON audiences_facthistory;
DROP TRIGGER snapshot_member_is_frozen ON audiences_snapshotmember;
DROP TRIGGER snapshot_is_frozen ON audiences_snapshot;
DROP TRIGGER audience_version_is_frozen ON audiences_audienceversion;
DROP FUNCTION audiences_refuse_change()
"""


def _mass_reference(to, **options):
    return models.ForeignKey(
        to, db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, **options
    )


class Migration(migrations.Migration):
    dependencies = [("audiences", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MEMBERS, "DROP TABLE audiences_snapshotmember")],
            state_operations=[
                migrations.CreateModel(
                    name="SnapshotMember",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "taken_month",
                                "snapshot_id",
                                "position",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("taken_month", models.DateField()),
                        ("position", models.IntegerField()),
                        ("reason", models.SmallIntegerField()),
                        ("address", models.TextField(db_default="")),
                        ("truth", models.BigIntegerField(db_default=0)),
                        ("fields", models.JSONField(null=True)),
                        (
                            "environment",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="+",
                                to="projects.environment",
                            ),
                        ),
                        ("person", _mass_reference("audiences.person", related_name="+")),
                        ("snapshot", _mass_reference("audiences.snapshot", related_name="members")),
                    ],
                ),
            ],
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(ADDRESS, "DROP FUNCTION audiences_address_state(text)"),
        migrations.RunSQL(
            MEMBER_HASH,
            "DROP FUNCTION audiences_member_hash(integer, bigint, smallint, bigint, text, jsonb)",
        ),
        migrations.RunSQL(FROZEN, UNFROZEN),
    ]
