"""Runs inside Django, once a start: schema, static files, demo. The parent is told each step as one line of JSON."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "@step "
AFTER_SCHEMA = "Static files"


@contextmanager
def _step(label: str) -> Iterator[Callable[[str], None]]:
    detail = ""

    def tell(text: str) -> None:
        nonlocal detail
        detail = text

    _emit(begin=label)
    yield tell
    _emit(end=label, detail=detail)


def _emit(**values: str) -> None:
    print(MARK + json.dumps(values), flush=True)


def main(*, demo: bool) -> None:
    """The database has the newest schema, the static files are collected and, with `demo`, the demo exists."""
    import django

    with _step("Database schema") as tell:
        django.setup()
        tell(_migrate())
    with _step(AFTER_SCHEMA) as tell:
        tell(_collect_static())
    if demo:
        from lamba_campaigns.embedded import seed

        with _step("Demo workspace") as tell:
            tell(seed.ensure())


def _migrate() -> str:
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        call_command("migrate", interactive=False, verbosity=0)
    return f"{len(plan)} migrations applied" if plan else "up to date"


def _collect_static() -> str:
    """Collects only when a source file or a version has changed: hashing and compressing takes a second."""
    from django.conf import settings
    from django.core.management import call_command

    root = Path(settings.STATIC_ROOT)
    stamp, state = root.with_name("static.stamp"), _static_state()
    if root.exists() and stamp.exists() and stamp.read_text() == state:
        return "up to date"
    call_command("collectstatic", interactive=False, verbosity=0, clear=root.exists())
    stamp.write_text(state)
    return "collected"


def _static_state() -> str:
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = os.stat(storage.path(path))
            digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main(demo="--no-demo" not in sys.argv)
