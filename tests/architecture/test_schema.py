"""Postgres itself refuses to mix environments: read from the catalogue of the database, not from the models."""

from collections.abc import Iterable

import pytest
from django.db import connection

from tests.architecture.scoped_tables import (
    PROOFS,
    WITHOUT_ENVIRONMENT,
    WITHOUT_ENVIRONMENT_IN_KEY,
    WITHOUT_ENVIRONMENT_KEY,
    WITHOUT_FOREIGN_KEY,
)

pytestmark = pytest.mark.django_db

OURS = ("projects_", "audit_", "webhooks_", "limits_", "audiences_", "campaigns_", "delivery_")
NUMBERS = ("bigint", "integer")

TABLES = """
SELECT t.relname FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND t.relkind IN ('r', 'p') AND NOT t.relispartition
"""
COLUMNS = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
FOREIGN_KEYS = """
SELECT source.relname, target.relname,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.i),
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.i)
FROM pg_constraint c JOIN pg_class source ON source.oid = c.conrelid JOIN pg_class target ON target.oid = c.confrelid
WHERE c.contype = 'f' AND NOT source.relispartition
"""


def _rows(query: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _ours(names: Iterable[object]) -> set[str]:
    return {str(name) for name in names if str(name).startswith(OURS)}


def _tables() -> set[str]:
    return _ours(row[0] for row in _rows(TABLES))


def _columns() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {table: {} for table in _tables()}
    for table, column, kind in _rows(COLUMNS):
        if table in found:
            found[str(table)][str(column)] = str(kind)
    return found


def _foreign_keys() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(str(a), str(b), tuple(c), tuple(d)) for a, b, c, d in _rows(FOREIGN_KEYS)]  # type: ignore[arg-type]


def _scoped() -> set[str]:
    return {table for table, columns in _columns().items() if "environment_id" in columns}


def test_every_table_belongs_to_an_environment_or_says_why_not() -> None:
    assert _tables() - _scoped() == set(WITHOUT_ENVIRONMENT)


def test_every_reference_between_scoped_tables_names_the_environment() -> None:
    scoped = _scoped()
    single = {
        (source, columns[0])
        for source, target, columns, targets in _foreign_keys()
        if source in scoped and target in scoped
        if not ("environment_id" in columns and targets[columns.index("environment_id")] == "environment_id")
    }
    assert single == set(WITHOUT_ENVIRONMENT_IN_KEY)


def test_a_number_that_points_somewhere_has_a_foreign_key_or_says_why_not() -> None:
    keyed = {(source, column) for source, _, columns, _ in _foreign_keys() for column in columns}
    loose = {
        (table, column)
        for table, columns in _columns().items()
        if "environment_id" in columns
        for column, kind in columns.items()
        if column.endswith("_id") and column != "environment_id" and kind in NUMBERS and (table, column) not in keyed
    }
    assert loose == set(WITHOUT_FOREIGN_KEY)


def test_every_environment_number_is_an_environment_or_says_why_not() -> None:
    keyed = {
        source
        for source, target, columns, _ in _foreign_keys()
        if columns == ("environment_id",) and target == "projects_environment"
    }
    assert _scoped() - keyed == WITHOUT_ENVIRONMENT_KEY


def test_every_scoped_reference_can_be_the_target_of_one() -> None:
    """A key of two columns with an unscoped table would prove nothing."""
    scoped = _scoped()
    composite = {target for source, target, columns, _ in _foreign_keys() if source in scoped and len(columns) > 1}
    assert composite <= scoped


@pytest.mark.parametrize("place", sorted(PROOFS), ids=".".join)
def test_an_exception_has_a_query_that_proves_it(place: tuple[str, str]) -> None:
    assert _rows(PROOFS[place]) == [(0,)]
