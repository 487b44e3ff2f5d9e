"""CSV imports of people: uploaded, checked as a whole, then applied as a whole. Nothing is ever half imported.

The row is the job: a worker holds the run's advisory lock while it works, so two can't, and a dead one leaves nothing.
The row itself stays free for the progress, and for whoever wants the run stopped.
"""

import csv
import logging
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet

from audiences import statements
from audiences.importing import work
from audiences.importing.file import FileRefused, Found
from audiences.importing.judge import DETAILS
from audiences.importing.progress import Cancelled
from audiences.models import ImportFilePart, ImportProblem, ImportRun
from audit import chain
from lamba_campaigns.lib import sql
from lamba_campaigns.lib.cells import Line, safe_cell
from lamba_campaigns.lib.errors import Conflict, DomainError, Invalid, NotFound
from projects.access import scope_by_id
from projects.scoping import SYSTEM, Actor, Scope

FILE_BYTES_MAX = 1 << 30
PART_BYTES = 1 << 20
ATTEMPTS_MAX = 3
FILES_KEPT = timedelta(days=7)  # after a run ended, so that a checked or refused file can still be imported
State = ImportRun.State
_WAITING = (State.QUEUED, State.RUNNING)
_log = logging.getLogger(__name__)


class FileTooLarge(DomainError):
    code = "FILE_TOO_LARGE"
    status = 413
    title = "The file is too large"


def upload(
    *,
    scope: Scope,
    actor: Actor,
    filename: str,
    chunks: Iterable[bytes],
    dry_run: bool,
    skip_invalid: bool,
    now: datetime,
) -> ImportRun:
    """Store the file and queue its run. A worker checks it; a dry run changes nothing."""
    with sql.durable():
        run = ImportRun.objects.create(
            environment_id=scope.environment_id,
            filename=filename[:200] or "people.csv",
            size_bytes=0,
            dry_run=dry_run,
            skip_invalid=skip_invalid,
            created_by=actor.label[:200],
            asked_by=asdict(actor),
            created_at=now,
        )
        run.size_bytes = _store(scope, run, chunks)
        if run.size_bytes == 0:
            raise Invalid("The file is empty.", next_step="Upload a CSV file with a header line and at least one row.")
        ImportRun.objects.within(scope).filter(pk=run.pk).update(size_bytes=run.size_bytes)
        return run


def get(*, scope: Scope, public_id: str) -> ImportRun:
    found: ImportRun | None = ImportRun.objects.within(scope).filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such import in this environment.")
    return found


def start(*, scope: Scope, actor: Actor, public_id: str, skip_invalid: bool) -> ImportRun:
    """Import for real what a dry run checked, or the right rows of a refused file. Conflict in any other state."""
    with sql.durable():
        rows = ImportRun.objects.within(scope).filter(public_id=public_id)
        ready = rows.filter(state=State.CHECKED) | rows.filter(state=State.REFUSED)
        if skip_invalid is False:
            ready = ready.filter(problem_count=0)
        if (
            not ready.filter(problem="")
            .filter(parts__number=0)
            .update(
                state=State.QUEUED,
                dry_run=False,
                skip_invalid=skip_invalid,
                asked_by=asdict(actor),
                attempt_count=0,
                finished_at=None,
                progress_percent=0,
                progress_rows=0,
                cancel_asked_at=None,
            )
        ):
            found = get(scope=scope, public_id=public_id)
            raise Conflict(
                f"This import is {found.get_state_display().lower()} and has {found.problem_count} rows with problems.",
                next_step="Correct the file and upload it again, or choose to import the right rows only.",
            )
    return get(scope=scope, public_id=public_id)


def cancel(*, scope: Scope, actor: Actor, public_id: str, now: datetime) -> ImportRun:
    """Stop a run that waits or works; a worker notices within seconds, and nothing of the file stays. Else Conflict."""
    with sql.durable():
        rows = ImportRun.objects.within(scope).filter(public_id=public_id)
        stopped = rows.filter(state=State.QUEUED).update(
            state=State.CANCELLED, cancel_asked_at=now, finished_at=now
        ) or rows.filter(state=State.RUNNING).update(cancel_asked_at=now)
        run = get(scope=scope, public_id=public_id)
        if not stopped:
            raise Conflict(
                f"This import is {run.get_state_display().lower()}: there is nothing left to stop.",
                next_step="What it changed can be changed again by another file, or person by person.",
            )
        chain.record(
            scope=scope,
            actor=actor,
            action="people.import_cancelled",
            subject=chain.Subject("import", run.public_id, run.filename),
            now=now,
        )
    return run


def waiting() -> list[int]:
    """Ids of runs that a worker should look at, oldest first."""
    rows = ImportRun.objects.across_environments("the sweep serves every environment").filter(state__in=_WAITING)
    return list(rows.order_by("created_at").values_list("pk", flat=True)[:100])


def run(*, run_id: int, now: datetime) -> None:
    """Work on one run to its end. Does nothing when it is done, or while another worker holds it."""
    if not _claim(run_id, now):
        return
    try:
        _work(run_id, now)
    except FileRefused as refused:
        _refuse(run_id, refused.problems, str(refused), now)
    except Cancelled:
        with sql.durable():
            _finish(run_id, State.CANCELLED, now)
    except DomainError as refused:
        _refuse(run_id, (), refused.detail, now)


def forget_files(*, now: datetime) -> int:
    """Drop the files of runs that ended a while ago."""
    with sql.durable():
        parts = ImportFilePart.objects.across_environments("the sweep serves every environment")
        return parts.filter(run__finished_at__lt=now - FILES_KEPT).delete()[0]


def problems(*, scope: Scope, run: ImportRun) -> QuerySet[Any]:
    """What was wrong, in file order."""
    found: QuerySet[Any] = ImportProblem.objects.within(scope).filter(run_id=run.pk).order_by("line", "id")
    return found


def problems_csv(*, scope: Scope, run: ImportRun) -> Iterator[str]:
    """The same as CSV lines. No cell can start a formula."""

    writer = csv.writer(Line())
    yield writer.writerow(["line", "column", "problem", "detail", "value"])
    for each in problems(scope=scope, run=run).iterator(chunk_size=1_000):
        yield writer.writerow([each.line, *map(safe_cell, (each.column, each.code, each.detail, each.value))])


def _store(scope: Scope, run: ImportRun, chunks: Iterable[bytes]) -> int:
    size = 0
    for number, part in enumerate(_parts(chunks)):
        size += len(part)
        if size > FILE_BYTES_MAX:
            raise FileTooLarge(f"A file may have {FILE_BYTES_MAX:,} bytes.", next_step="Split it into several files.")
        params = {
            "environment": scope.environment_id,
            "run": run.pk,
            "number": number,
            "data": zlib.compress(part, 1),
        }
        statements.count("store_part", params=params)
    return size


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PART_BYTES:
            yield bytes(buffer[:PART_BYTES])
            del buffer[:PART_BYTES]
    if buffer:
        yield bytes(buffer)


def _claim(run_id: int, now: datetime) -> bool:
    """Count the attempt and commit it before the work, so that a run that kills its worker ends as failed."""
    with sql.durable():
        found = _locked(run_id)
        if found is None:
            return False
        if found.cancel_asked_at:
            _finish(run_id, State.CANCELLED, now)
            return False
        if found.attempt_count >= ATTEMPTS_MAX:
            detail = f"The worker died {ATTEMPTS_MAX} times while it worked on this file. Nothing was changed."
            _finish(run_id, State.FAILED, now, problem=detail)
            return False
        _rows(run_id).update(state=State.RUNNING, attempt_count=F("attempt_count") + 1)
        return True


def _work(run_id: int, now: datetime) -> None:
    with sql.durable():
        run = _locked(run_id)
        if run is None:
            return
        scope = scope_by_id(run.environment_id)
        actor = Actor(**run.asked_by) if run.asked_by else SYSTEM
        ImportProblem.objects.within(scope).filter(run_id=run_id).delete()
        done = work.work(scope=scope, actor=actor, run=run, now=now)
        state = State.DONE if done.applied else State.CHECKED if run.dry_run else State.REFUSED
        refused = state == State.REFUSED  # nothing was created, so nothing is said to be
        _finish(
            run_id,
            state,
            now,
            columns=list(done.columns),
            row_count=done.rows,
            progress_rows=done.rows,
            problem_count=done.wrong,
            created_count=0 if refused else done.created,
            updated_count=0 if refused else done.updated,
        )
        if done.applied:
            chain.record(
                scope=scope,
                actor=actor,
                action="people.imported",
                subject=chain.Subject("import", run.public_id, run.filename),
                now=now,
                after={"rows": done.rows, "created": done.created, "updated": done.updated, "leftOut": done.wrong},
            )


def _refuse(run_id: int, found: Iterable[Found], detail: str, now: datetime) -> None:
    with sql.durable():
        run = _locked(run_id)
        if run is None:
            return
        ImportProblem.objects.bulk_create(
            [
                ImportProblem(
                    environment_id=run.environment_id, run_id=run_id, line=each.line, column=each.column[:90],
                    code=each.code, detail=DETAILS.get(each.code, each.note)[:300], value=each.value[:200],
                )
                for each in found
            ]
        )  # fmt: skip
        _finish(run_id, State.REFUSED, now, problem=detail)


def _locked(run_id: int) -> ImportRun | None:
    """The run, if it waits and no other worker is at it; ours until the transaction ends."""
    if not sql.rows("audiences", "try_lock_import", {"run": run_id})[0][0]:
        return None
    found: ImportRun | None = _rows(run_id).filter(state__in=_WAITING).first()
    return found


def _finish(run_id: int, state: str, now: datetime, **values: Any) -> None:
    _rows(run_id).update(state=state, finished_at=now, progress_percent=100, **values)


def _rows(run_id: int) -> QuerySet[Any]:
    found: QuerySet[Any] = ImportRun.objects.across_environments("one row by its primary key").filter(pk=run_id)
    return found
