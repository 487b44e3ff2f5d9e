"""One run from its file to its people, in the caller's transaction: everything is written, or nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from audiences import statements, vocabulary
from audiences.importing import prepare, screen, write
from audiences.importing.columns import Column
from audiences.importing.file import FileRefused, Found, Text, read_columns
from audiences.importing.order import Sorter
from audiences.importing.prepare import LINES_MAX, Batch, Shaper, Words
from audiences.importing.problems import Problems
from audiences.importing.progress import Progress, require_wanted
from audiences.models import ImportRun
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope

ROWS_PER_BATCH: Final = 5_000
READ, WRITTEN = 20, 85  # percent of the way; the rest is for people known before


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found. `applied`: the rows are written; otherwise `created` and `updated` say what would be."""

    columns: tuple[str, ...]
    rows: int
    wrong: int
    created: int
    updated: int
    applied: bool


class _Wrong(Exception):
    """A row turned out wrong after writing began, and the run takes all rows or none."""


def work(*, scope: Scope, actor: Actor, run: ImportRun, now: datetime) -> Outcome:
    """FileRefused, or Cancelled, leave nothing behind once the caller's transaction is rolled back."""
    sql.require_transaction()
    statements.count("drop_import_tables", params={})
    progress = Progress(run)
    try:
        return _Work(scope, actor, run, now, progress).run()
    finally:
        progress.close()


class _Work:
    def __init__(self, scope: Scope, actor: Actor, run: ImportRun, now: datetime, progress: Progress) -> None:
        self.scope, self.actor, self.subject, self.now, self.progress = scope, actor, run, now, progress
        self.problems, self.rows, self.right = Problems(), 0, 0  # rows: of the file

    def run(self) -> Outcome:
        text = Text(self.subject)
        self.columns, delimiter = read_columns(text)
        self.title = next(column.title for column in self.columns if column.field == "external_id")
        self.words = Words(self.columns)
        self.sorter = Sorter(next(column.index for column in self.columns if column.field == "external_id"))
        try:
            self._read(text, delimiter)
            created, updated, applied = self._write_or_look()
        finally:
            self.sorter.close()
        wrong = self.problems.count()
        self.problems.keep(scope=self.scope, run=self.subject)
        require_wanted(self.subject.pk)
        return Outcome(_titles(self.columns), self.rows, wrong, created, updated, applied)

    def _read(self, text: Text, delimiter: str) -> None:
        """Right rows go to the sorter, problems aside."""
        for batch in screen.rows(text, self.columns, delimiter):
            if isinstance(batch[0], Found):
                self.rows += 1
                self.problems.add(batch)
            else:
                self.rows += len(batch)
                self.right += len(batch)
                self.sorter.add(batch)
                self.words.add(batch)
            self.progress.at(percent=READ * text.taken / max(1, self.subject.size_bytes), rows=self.rows)
        if self.rows == 0:
            raise FileRefused(Found(1, "", "no_rows", note="The file has a header and no rows."))
        if self.rows > LINES_MAX:
            raise FileRefused(Found(1, "", "too_many_rows", note=f"A file may have {LINES_MAX:,} rows."))

    def _write_or_look(self) -> tuple[int, int, bool]:
        all_or_none = not self.subject.skip_invalid
        if self.subject.dry_run or (all_or_none and self.problems.count()):
            return *self._look(), False
        try:
            with transaction.atomic():
                return *self._write(all_or_none), True
        except _Wrong:
            return *self._look(), False

    def _write(self, all_or_none: bool) -> tuple[int, int]:
        write.learn(scope=self.scope, actor=self.actor, names=self.words.names(), now=self.now)
        writer = write.Writer(scope=self.scope, run=self.subject, title=self.title, now=self.now)
        done = 0
        for batch in prepare.ahead(self._batches()):
            found = writer.write(batch)
            if found and all_or_none:
                raise _Wrong
            self.problems.add(found)
            done += len(batch.rows)
            self.progress.at(percent=READ + (WRITTEN - READ) * done / self.right, rows=done)
        self.problems.flush()
        if waiting := writer.waiting():
            known = 0
            for people in writer.apply_known():
                known += people
                self.progress.at(percent=WRITTEN + (99 - WRITTEN) * known / waiting, rows=done)
        return writer.created, writer.updated

    def _batches(self) -> Iterator[Batch]:
        """Made in a thread beside the database; what they need of it is asked before."""
        shaper = Shaper(
            scope=self.scope,
            run=self.subject,
            columns=self.columns,
            numbers=vocabulary.numbers(scope=self.scope),
            people=iter(write.new_ids(count=self.right)),
        )
        return map(prepare.batch, prepare.in_parts(map(shaper.shape, self.sorter.read()), ROWS_PER_BATCH))

    def _look(self) -> tuple[int, int]:
        """How many people are new and how many known; nothing is written."""
        created = updated = done = 0
        for rows in prepare.in_parts(self.sorter.read(), ROWS_PER_BATCH):
            people, found = write.look(scope=self.scope, title=self.title, rows=rows)
            self.problems.add(found)
            wrong = {each.line for each in found}
            known = sum(row.who in people and row.line not in wrong for row in rows)
            created, updated, done = created + len(rows) - len(found) - known, updated + known, done + len(rows)
            self.progress.at(percent=READ + (99 - READ) * done / self.right, rows=done)
        return created, updated


def _titles(columns: list[Column]) -> tuple[str, ...]:
    return tuple(column.title for column in columns)
