"""Named SQL statements from `<app>/sql/*.sql`, and the few calls that run them.

A file holds one or more statements, each under a line `-- name: verb_noun`. Parameters are psycopg's `%(name)s`.
What several statements must say alike stands under a name of its own, and `-- include: name` in its place.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from django.db import connection, transaction

Row = tuple[Any, ...]
_INCLUDE = re.compile(r"^ *-- include: (\w+)$", re.MULTILINE)


class NoTransaction(RuntimeError):
    """A function that must take part in its caller's transaction was called outside one. A bug, not a refusal."""


def require_transaction() -> None:
    """First line of every function that is called by domain code and writes."""
    if not connection.in_atomic_block:
        raise NoTransaction("Call this inside transaction.atomic(): its rows must commit with the caller's.")


def durable() -> transaction.Atomic:
    """First line of every function entered from an edge: one transaction that really commits at its end."""
    return transaction.atomic(durable=True)


@cache
def statement(app: str, name: str) -> str:
    """The statement called `name` in any `.sql` file of `app`. KeyError names the ones that exist."""
    found = _statements(app)
    if name not in found:
        raise KeyError(f"{app}/sql has no statement {name!r}; it has: {', '.join(sorted(found))}")
    return _INCLUDE.sub(lambda include: statement(app, include[1]), found[name])


@cache
def _statements(app: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for file in resources.files(app).joinpath("sql").iterdir():
        if not file.name.endswith(".sql"):
            continue
        for part in file.read_text().split("-- name:")[1:]:
            name, _, body = part.partition("\n")
            assert name.strip() not in found, f"{app}: statement {name.strip()!r} is defined twice"
            found[name.strip()] = body.strip()
    return found


def rows(app: str, name: str, params: Mapping[str, Any] | None = None) -> list[Row]:
    """Run the statement and return all its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement(app, name), params or {})
        found: list[Row] = cursor.fetchall()
        return found


def one(app: str, name: str, params: Mapping[str, Any] | None = None) -> Row | None:
    """Run the statement and return its first row, or None."""
    found = rows(app, name, params)
    return found[0] if found else None


def execute(app: str, name: str, params: Mapping[str, Any] | None = None) -> int:
    """Run the statement and return how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement(app, name), params or {})
        return int(cursor.rowcount)


@contextmanager
def binary_cursor() -> Iterator[psycopg.Cursor[Row]]:
    """For statements over many rows: a cursor of psycopg's own on Django's connection, in its transaction.

    Arrays go as `unnest(%(x)b)` at a twentieth of what Django's text form costs, and rows come back in binary. Errors
    still arrive as django.db's.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as opened:
        opened.format = psycopg.pq.Format.BINARY
        yield opened


def binary_rows(app: str, name: str, params: Mapping[str, Any]) -> list[Row]:
    """As `rows`, for many rows or large arrays."""
    with binary_cursor() as cursor:
        cursor.execute(statement(app, name).encode(), params)
        return cursor.fetchall()


def binary_execute(app: str, name: str, params: Mapping[str, Any]) -> int:
    """As `execute`, for large arrays."""
    with binary_cursor() as cursor:
        cursor.execute(statement(app, name).encode(), params)
        return cursor.rowcount
