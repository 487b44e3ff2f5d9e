"""How far a run is, told while its transaction is still open; and whether somebody wants it stopped.

The work is one transaction, so the figures go out on a connection of their own. They are a courtesy: if they can't be
written within a second, the work goes on without.
"""

import logging
import time
from typing import Final

from django.db import DatabaseError, connection

from audiences.models import ImportRun

BEAT_SECONDS: Final = 1.0
_UPDATE: Final = "UPDATE audiences_importrun SET progress_percent = %s, progress_rows = %s WHERE id = %s"
_log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Somebody asked this run to stop."""


class Progress:
    """Call `at` between batches; it is cheap."""

    def __init__(self, run: ImportRun) -> None:
        self._run_id, self._size = run.pk, run.size_bytes
        self._beaten = time.monotonic()
        self._aside = connection.copy()

    def at(self, *, percent: float, rows: int) -> None:
        """Raises Cancelled when the run shall stop."""
        if time.monotonic() - self._beaten < BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        require_wanted(self._run_id)
        try:
            with self._aside.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
                cursor.execute(_UPDATE, [min(99, int(percent)), rows, self._run_id])
        except DatabaseError as problem:
            _log.warning("The progress of import %s was not written: %s", self._run_id, problem)

    def close(self) -> None:
        self._aside.close()


def require_wanted(run_id: int) -> None:
    """Reads what others committed meanwhile: our transaction has not touched the row."""
    rows = ImportRun.objects.across_environments("one row by its primary key")
    if rows.filter(pk=run_id, cancel_asked_at__isnull=False).exists():
        raise Cancelled
