"""A CSV of people into people: stored, screened, checked, sorted, written with origin; every thousandth row is wrong.

The floor is psycopg's binary COPY of the same rows into a table like `audiences_person` with its indexes: no upload, no
checks, no facts, no origin. `heap` is the same COPY without indexes. `again` imports the same file a second time.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from audiences import imports, statements
from audiences.models import FactRecord, ImportProblem, ImportRun, Person, PersonFacts
from benchmarks._scope import new_scope
from benchmarks.result import Result, peak_mb
from benchmarks.stage import step
from projects.scoping import Actor, Scope

SIZE = ("people", 1_000_000)
WRONG_EVERY = 1_000
HEADER = (
    "external_id,email,given_name,family_name,locale,time_zone,country,membership,plan,lifecycle,consent.email,"
    "trait.company,trait.seats:number\n"
)
ACTOR = Actor("system", "bench", "Benchmark", "system")
AT = datetime(2026, 11, 1, tzinfo=UTC)
MEMORY_MB_MAX = 300


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--again", action="store_true", help="also import the same file a second time")


def measure(size: int, options: argparse.Namespace) -> Result:
    scope = new_scope(f"import-{size}")
    with step(f"{size:,} people by binary COPY"):
        floor, heap = _floor(scope, size, indexed=True), _floor(scope, size, indexed=False)
    with step(f"{size:,} people from CSV"):
        run, seconds, stored = _ours(scope, size)
    checks = _checks(scope, size, run)
    extra: dict[str, float | int | str] = {"upload_s": round(stored, 2)}
    if options.again:
        with step("the same file again"):
            twin, again, _ = _ours(scope, size)
            extra["again_rows_per_s"] = round(size / again)
            checks["a second run of the file changes nobody"] = twin.created_count == 0
    checks[f"at most {MEMORY_MB_MAX} MB"] = peak_mb()["self"] <= MEMORY_MB_MAX
    return Result(
        unit="rows/s", size=size, ours=size / seconds, floor=size / floor, checks=checks,
        peers={"heap": size / heap}, extra=extra,
    )  # fmt: skip


def _row(number: int) -> tuple[str, ...]:
    scattered = number * 2_654_435_761 % 4_294_967_296  # a fixed shuffle: ids come in no order
    wrong = number % WRONG_EVERY == WRONG_EVERY - 1
    email = f"user{number}@" + ("" if wrong else f"mail{number % 7}.example.com")
    return (
        f"usr_{scattered:08x}{number:07d}", email, "Ada", f"Lovelace {number % 5_000}", "en-GB", "Europe/London", "GB",
        "active", "green", "trial", "yes", f"Acme {number % 1_000}", str(number % 50),
    )  # fmt: skip


def _lines(size: int) -> Iterator[bytes]:
    yield HEADER.encode()
    numbers = iter(range(size))
    while part := list(islice(numbers, 5_000)):
        yield "".join([",".join(_row(number)) + "\n" for number in part]).encode()


def _ours(scope: Scope, size: int) -> tuple[ImportRun, float, float]:
    """The run at its end, the seconds of storing and importing it, and those of storing alone."""
    with tempfile.TemporaryFile() as file:
        file.writelines(_lines(size))
        file.seek(0)
        chunks = iter(lambda: file.read(1 << 18), b"")
        began = time.perf_counter()
        run = imports.upload(
            scope=scope, actor=ACTOR, filename="people.csv", chunks=chunks, dry_run=False, skip_invalid=True, now=AT
        )
    stored = time.perf_counter() - began
    imports.run(run_id=run.pk, now=AT)
    return imports.get(scope=scope, public_id=run.public_id), time.perf_counter() - began, stored


def _floor(scope: Scope, size: int, *, indexed: bool) -> float:
    """Seconds that COPY takes; making the rows is not measured."""
    including = "INCLUDING ALL" if indexed else ""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE bench_people (LIKE audiences_person {including})")
    columns = (
        "id, environment_id, public_id, external_id, email, name, given_name, family_name, locale, time_zone, country,"
        " traits, created_at"
    )
    seconds, numbers = 0.0, iter(range(size))
    with transaction.atomic(), statements.cursor() as cursor:
        while part := list(islice(numbers, 50_000)):
            rows = [_person(scope, number) for number in part]
            began = time.perf_counter()
            with cursor.copy(f"COPY bench_people ({columns}) FROM STDIN (FORMAT binary)".encode()) as copy:
                copy.set_types(["int8", "int8", *["text"] * 9, "jsonb", "timestamptz"])
                for row in rows:
                    copy.write_row(row)
            seconds += time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bench_people")
    return seconds


def _person(scope: Scope, number: int) -> tuple[Any, ...]:
    who, email, given, family, locale, zone, country, *_, company, seats = _row(number)
    traits = Jsonb({"company": company, "seats": int(seats)})
    public_id = f"per_{number:026d}"
    return (number, scope.environment_id, public_id, who, email, "", given, family, locale, zone, country, traits, AT)


def _checks(scope: Scope, size: int, run: ImportRun) -> dict[str, bool]:
    wrong = size // WRONG_EVERY
    right = size - wrong
    people = Person.objects.within(scope)
    rows = PersonFacts.objects.within(scope).filter(membership=2, consent_mask=1, address_state=1, plan__gt=0)
    records = FactRecord.objects.within(scope).filter(source=f"import:{run.public_id}", values__plan="green")
    problems = ImportProblem.objects.within(scope).filter(run_id=run.pk, column="email", code="invalid_address")
    lines = set(problems.values_list("line", flat=True))
    return {
        "every right row is a person, once": people.count() == run.created_count == right,
        "with every column": people.filter(country="GB", traits__has_keys=["company", "seats"]).count() == right,
        "with what rules ask about": rows.count() == right,
        "with its origin": records.count() == right,
        "every wrong row is listed by its line": lines == {n + 1 for n in range(WRONG_EVERY, size + 1, WRONG_EVERY)},
    }
