"""Exit code 0: every row is what the evidence says. 1: --check found differences. 2: there is no such environment."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audiences import rebuild
from projects.access import scope_by_path
from projects.scoping import Scope


class Command(BaseCommand):
    help = "Erase what is projected of people and project it again from inbox, history and imports; or only compare."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--environment", metavar="WORKSPACE/PROJECT/ENVIRONMENT", required=True)
        parser.add_argument("--check", action="store_true", help="write nothing; name the first differences and exit 1")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = _scope(options["environment"])
        seen = rebuild.check(scope=scope) if options["check"] else rebuild.rebuild(scope=scope, now=timezone.now())
        self.stdout.write(f"{scope.path}: {seen.events:,} events, {seen.people:,} people")
        for each in seen.differences:
            self.stdout.write(f"  {each}")
        if seen.difference_count and options["check"]:
            raise CommandError(f"At least {seen.difference_count:,} values are not what was told.", returncode=1)
        self.stdout.write(f"{seen.difference_count:,} values put right." if seen.difference_count else "Identical.")


def _scope(path: str) -> Scope:
    found = scope_by_path(path)
    if found is None:
        raise CommandError(f"There is no environment {path!r}. Use workspace/project/environment.", returncode=2)
    return found
