"""Runs this app's set-based statements with binary parameters: `unnest(%(x)b)` costs a twentieth of text arrays."""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection

from lamba_campaigns.lib.sql import Row, statement


def rows(name: str, params: Mapping[str, Any]) -> list[Row]:
    """Run the named statement and return its rows, if it has any."""
    with _cursor() as cursor:
        cursor.execute(statement("delivery", name), params)
        return list(cursor.fetchall()) if cursor.description else []


def count(name: str, params: Mapping[str, Any]) -> int:
    """Run the named statement and return how many rows it touched."""
    with _cursor() as cursor:
        cursor.execute(statement("delivery", name), params)
        return cursor.rowcount


class _cursor:
    """A plain psycopg cursor on Django's connection. Errors still arrive as django.db's."""

    def __enter__(self) -> psycopg.Cursor[Row]:
        connection.ensure_connection()
        self._errors = connection.wrap_database_errors
        self._errors.__enter__()
        self._cursor = psycopg.Cursor(connection.connection)
        return self._cursor

    def __exit__(self, *error: Any) -> None:
        self._cursor.close()
        self._errors.__exit__(*error)
