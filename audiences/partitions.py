"""Months of the mass tables. A partition is built aside and attached, so nobody who reads or writes waits for it."""

from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from django.db import connection
from psycopg import sql as compose

from audiences import statements
from lamba_campaigns.lib import sql

Parent = Literal["audiences_snapshotmember", "audiences_contact"]
_STEPS: Final = ("create_partition", "attach_partition")


def month_of(moment: datetime) -> date:
    """The first day of a moment's month, in UTC: what partitions are named by."""
    return moment.date().replace(day=1)


def ensure(*, parent: Parent, month: date) -> None:
    """Afterwards this month has its partition. In the caller's transaction; two callers make one partition."""
    sql.require_transaction()
    table = f"{parent}_{month:%Y_%m}"
    with connection.cursor() as cursor:
        if _exists(cursor, table):
            return
        cursor.execute(sql.statement("audiences", "lock_partitions"))
        if _exists(cursor, table):
            return
        names = {
            "parent": compose.Identifier(parent),
            "table": compose.Identifier(table),
            "first": compose.Literal(month),
            "following": compose.Literal((month + timedelta(days=31)).replace(day=1)),
        }
        for name in _STEPS:
            cursor.execute(statements.composed(name).format(**names))


def _exists(cursor: Any, table: str) -> bool:
    """By the catalogue's own rows: to_regclass may answer from a cache that is older than the lock."""
    cursor.execute("SELECT FROM pg_class WHERE relname = %s AND relkind = 'r'", [table])
    return cursor.fetchone() is not None
