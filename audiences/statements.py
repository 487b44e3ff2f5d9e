"""Runs this app's set-based statements with binary parameters: `unnest(%(x)b)` costs a twentieth of text arrays."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection
from psycopg.sql import SQL

from lamba_campaigns.lib.sql import Row, statement


def rows(*names: str, params: Mapping[str, Any]) -> list[Row]:
    """Run the named fragments of `audiences/sql`, joined, as one statement; return its rows."""
    with cursor() as opened:
        opened.execute(_text(names), params)
        return list(opened.fetchall())


def count(*names: str, params: Mapping[str, Any]) -> int:
    """Run the named fragments as one statement; return how many rows it touched."""
    with cursor() as opened:
        opened.execute(_text(names), params)
        return opened.rowcount


@contextmanager
def cursor() -> Iterator[psycopg.Cursor[Row]]:
    """A plain psycopg cursor on Django's connection, in its transaction. Errors still arrive as django.db's."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as opened:
        yield opened


def _text(names: tuple[str, ...]) -> bytes:
    return "\n".join(statement("audiences", name) for name in names).encode()


def composed(name: str) -> SQL:
    """A statement of ours as a template of psycopg.sql: its text is a file of this app, never data."""
    return SQL(statement("audiences", name))
