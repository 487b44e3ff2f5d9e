"""What is wrong with which row, gathered in a temporary table, so that a million wrong rows take no memory."""

import json
from collections.abc import Iterable
from typing import Final

from audiences import statements
from audiences.importing.file import Found
from audiences.importing.judge import DETAILS
from audiences.models import ImportRun
from projects.scoping import Scope

PROBLEMS_KEPT_MAX: Final = 100_000
_HELD_MAX: Final = 2_000


class Problems:
    """Of one run, in the caller's transaction."""

    def __init__(self) -> None:
        self._held: list[Found] = []
        statements.count("create_problems", params={})

    def add(self, found: Iterable[Found]) -> None:
        self._held += found
        if len(self._held) >= _HELD_MAX:
            self.flush()

    def flush(self) -> None:
        if not self._held:
            return
        with statements.cursor() as cursor, cursor.copy("COPY import_problems FROM STDIN") as copy:
            for each in self._held:
                copy.write_row((each.line, each.column, each.code, each.value, each.note))
        self._held = []

    def count(self) -> int:
        """How many lines are wrong."""
        self.flush()
        ((lines,),) = statements.rows("count_problem_lines", params={})
        return int(lines)

    def keep(self, *, scope: Scope, run: ImportRun) -> None:
        """Store them with the run, in file order, the first `PROBLEMS_KEPT_MAX` of them."""
        self.flush()
        params = {
            "environment": scope.environment_id,
            "run": run.pk,
            "details": json.dumps(DETAILS),
            "limit": PROBLEMS_KEPT_MAX,
        }
        statements.count("keep_problems", params=params)
