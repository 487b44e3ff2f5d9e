"""Staged rows become people, records and columns, all in the caller's transaction, in a dozen statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from django.db import connection
from psycopg import sql as compose

from audiences import statements, vocabulary
from audiences.channels import CHANNEL_BITS
from audiences.import_checks import by_field, cell
from audiences.import_columns import Column
from audiences.models import ImportRun, Segment
from lamba_campaigns.lib import ids, sql
from projects.scoping import Actor, Scope

DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as in every public id
ID_START_CHARS: Final = 21  # of 26; the last five count the lines, up to 33 million
_TRUE: Final[LiteralString] = "lower({c}) IN ('true','t','yes','y','1')"
_MEMBERSHIP: Final[LiteralString] = (
    "CASE lower({c}) WHEN 'invited' THEN 1 WHEN 'active' THEN 2 WHEN 'suspended' THEN 3 WHEN 'removed' THEN 4"
    " ELSE 0 END"
)


@dataclass(frozen=True, slots=True)
class Applied:
    """How many people are new, and of how many known ones something changed."""

    created: int
    updated: int


def count_known(*, scope: Scope, columns: Sequence[Column]) -> Applied:
    """How many of the staged people are new, and how many are known; nothing is written."""
    who = cell(by_field(columns)["external_id"])
    with connection.cursor() as cursor:
        cursor.execute(statements.composed("count_known").format(who=who), {"environment": scope.environment_id})
        known, fresh = cursor.fetchone()
    return Applied(created=fresh, updated=known)


def apply(*, scope: Scope, actor: Actor, run: ImportRun, columns: Sequence[Column], now: datetime) -> Applied:
    """Afterwards every staged row is known as of the upload, from the source `import:imp_…`."""
    sql.require_transaction()
    fields = by_field(columns)
    _learn(scope, actor, fields, now)
    source = f"import:{run.public_id}"
    params: dict[str, Any] = {
        "environment": scope.environment_id,
        "source": source,
        "at": run.created_at,
        "now": now,
        "digits": DIGITS,
        "id_start": ids.ulid()[:ID_START_CHARS],
    }
    texts = _texts(fields)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS import_people")
        cursor.execute(
            "CREATE TEMPORARY TABLE import_people (line int, person_id bigint, fresh boolean) ON COMMIT DROP"
        )
        cursor.execute(statements.composed("create_imported").format(**texts), params)
        created = cursor.rowcount
        cursor.execute(statements.composed("find_imported").format(**texts), params)
        known = cursor.rowcount
        cursor.execute("ANALYZE import_people")
        cursor.execute(statements.composed("lock_imported"), params)
        cursor.execute(statements.composed("create_imported_facts").format(**texts), params)
        cursor.execute(statements.composed("record_imported").format(record=_record(columns)), params)
        updated = 0
        if known or "segments" in fields:  # new people have their columns already
            won = statements.composed("won_of_import").format(segments=texts["segments"])
            cursor.execute(compose.Composed([won, compose.SQL("\n"), statements.composed("projection")]), params)
            updated = cursor.rowcount - _fresh_listed(cursor, texts)
    if "roles" in fields:
        _project_roles(scope, texts)
    return Applied(created=created, updated=updated)


def _fresh_listed(cursor: Any, texts: Mapping[str, compose.Composable]) -> int:
    """New people whom the segments touched: they are no updates."""
    cursor.execute(statements.composed("count_fresh_listed").format(segments=texts["segments"]))
    return int(cursor.fetchone()[0])


def _texts(fields: Mapping[str, Column]) -> dict[str, compose.Composable]:
    plain = ("email", "name", "given_name", "family_name", "locale", "time_zone", "country")
    found: dict[str, compose.Composable] = {
        name: compose.SQL("coalesce({}, '')").format(cell(fields.get(name))) for name in plain
    }
    consents = [
        compose.SQL("CASE WHEN " + _TRUE + " THEN {bit} ELSE 0 END").format(
            c=cell(fields.get(f"consent.{channel}"), empty="NULL::text"), bit=compose.Literal(bit)
        )
        for channel, bit in CHANNEL_BITS.items()
    ]
    membership = compose.SQL(_MEMBERSHIP).format(c=cell(fields.get("membership"), empty="NULL::text"))
    return found | {
        "who": cell(fields["external_id"]),
        "membership": membership,
        "consent_mask": compose.SQL(" | ").join(consents),
        "lifecycle": cell(fields.get("lifecycle"), empty="NULL::text"),
        "plan": cell(fields.get("plan"), empty="NULL::text"),
        "roles": cell(fields.get("roles"), empty="NULL::text"),
        "segments": cell(fields.get("segments"), empty="NULL::text"),
        "traits": _object([column for column in fields.values() if column.field.startswith("trait.")], "trait."),
    }


def _record(columns: Sequence[Column]) -> compose.Composable:
    """Everything that a row tells, as one object. Segments are facts of their own; empty cells tell nothing."""
    return _object([column for column in columns if column.field not in ("external_id", "segments")], "")


def _object(columns: Sequence[Column], prefix: str) -> compose.Composable:
    if not columns:
        return compose.SQL("'{}'::jsonb")
    pairs = [
        compose.SQL("{}::text, {}").format(compose.Literal(column.field.removeprefix(prefix)), _value(column))
        for column in columns
    ]
    return compose.SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(compose.SQL(", ").join(pairs))


def _value(column: Column) -> compose.Composable:
    shapes: dict[str, LiteralString] = {
        "boolean": "CASE WHEN {c} IS NOT NULL THEN " + _TRUE + " END",
        "number": "{c}::numeric",
        "membership": "lower({c})",
        "words": (
            "(SELECT to_jsonb(array_agg(DISTINCT btrim(w))) FROM unnest(string_to_array({c}, ';')) AS w"
            " WHERE btrim(w) <> '')"
        ),
    }
    return compose.SQL(shapes.get(column.kind, "{c}")).format(c=cell(column))


def _learn(scope: Scope, actor: Actor, fields: Mapping[str, Column], now: datetime) -> None:
    """Every stage, plan, role and segment of the file has a number before the first row needs it."""
    kinds = {"lifecycle": vocabulary.Kind.LIFECYCLE, "plan": vocabulary.Kind.PLAN, "roles": vocabulary.Kind.ROLE}
    names = {(kind, word) for name, kind in kinds.items() if name in fields for word in _words(fields[name])}
    vocabulary.learn(scope=scope, names=names, now=now)
    if "segments" in fields:
        known = set(Segment.objects.within(scope).values_list("slug", flat=True))
        for slug in sorted(set(_words(fields["segments"])) - known):
            title = slug.replace("-", " ").replace("_", " ").strip().capitalize() or slug
            vocabulary.new_segment(scope=scope, actor=actor, slug=slug, name=title, description="", now=now)


def _words(column: Column) -> list[str]:
    words = compose.SQL("ARRAY[{}]" if column.kind != "words" else "string_to_array({}, ';')").format(cell(column))
    statement = statements.composed("words_of_column").format(words=words)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]


def _project_roles(scope: Scope, texts: Mapping[str, compose.Composable]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements.composed("people_with_roles").format(roles=texts["roles"]))
        (people,) = cursor.fetchone()
    if people:
        statements.count("project_roles", params={"environment": scope.environment_id, "people": people})
