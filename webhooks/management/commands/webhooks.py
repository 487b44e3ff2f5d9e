"""Stored events of one environment: `redrive` processes them again, `rebuild` makes a projection of them anew; and
`verify` says why a signature is or is not believed.
"""

import json
import os
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.lib.signing import SignatureRefused
from projects import access
from projects.models import Environment
from projects.scoping import Actor, Scope
from webhooks import dead_letters, projections, redrive, rehearsal, schemes
from webhooks.catalog import parse_moment


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        again = commands.add_parser("redrive", help="process stored events of one environment again")
        again.add_argument("environment", help="workspace/project/environment")
        again.add_argument("--state", choices=dead_letters.STATES, default="parked")
        again.add_argument("--type")
        again.add_argument("--because", choices=list(dead_letters.REASON_WORDS), help="why they were set aside")
        again.add_argument("--endpoint", help="whe_… that they came through")
        again.add_argument("--since", type=_moment, help="received at or after this ISO-8601 time")
        again.add_argument("--until", type=_moment, help="received before this ISO-8601 time")
        again.add_argument("--reason", default="", help="kept in the audit trail")
        again.add_argument("--dry-run", action="store_true", help="try them, roll it back, and say what would happen")
        anew = commands.add_parser("rebuild", help="make a projection again from the stored events; 1: --check differs")
        anew.add_argument("projection", choices=list(projections.every()), help=_sentences())
        anew.add_argument("environment", help="workspace/project/environment")
        anew.add_argument("--check", action="store_true", help="write nothing; name the first differences and exit 1")
        check = commands.add_parser("verify", help="say why a signature is or is not believed")
        check.add_argument("body", type=Path, help="file with the raw body, byte for byte")
        check.add_argument("--headers", type=Path, required=True, help="file with a JSON object of the headers")
        check.add_argument(
            "--scheme", choices=schemes.LAMBA, default=schemes.DEFAULT, help="what the endpoint believes"
        )
        check.add_argument(
            "--secret-variable", default="LAMBA_WEBHOOK_SECRET", help="environment variable that holds the secret"
        )
        check.add_argument("--at", type=int, help="check as if it were this Unix second; now by default")

    def handle(self, *, command: str, **options: Any) -> None:
        run: dict[str, Callable[..., None]] = {
            "redrive": self._redrive,
            "rebuild": self._rebuild,
            "verify": self._verify,
        }
        run[command](**options)

    def _redrive(self, *, environment: str, reason: str, because: str | None, dry_run: bool, **options: Any) -> None:
        scope = _scope(environment)
        range_ = {name: options[name] for name in ("state", "type", "endpoint", "since", "until")}
        ids = redrive.select(scope=scope, selection=dead_letters.Selection(**range_, reason=because))
        if dry_run:
            self._rehearse(scope, ids)
            return
        if ids:
            actor = Actor("system", "manage.py", os.environ.get("USER", "manage.py"), "system")
            try:
                ids = redrive.redrive(scope=scope, actor=actor, event_ids=ids, reason=reason, now=timezone.now())
            except DomainError as refusal:
                raise CommandError(f"{refusal.detail} {refusal.next_step}".strip()) from None
        for event_id in ids:
            self.stdout.write(event_id)
        self.stdout.write(f"{len(ids)} events are processed again.")

    def _rehearse(self, scope: Scope, ids: Sequence[str]) -> None:
        found = rehearsal.rehearse(scope=scope, event_ids=ids, now=timezone.now())
        for each in found:
            self.stdout.write(" ".join(filter(None, (each.event_id, each.state, each.error))))
        processed = sum(each.state == "processed" for each in found)
        self.stdout.write(f"{processed} of {len(found)} events would be processed.")

    def _rebuild(self, *, projection: str, environment: str, check: bool, **_: Any) -> None:
        chosen = projections.every()[projection]
        scope, now = _scope(environment), timezone.now()
        found = chosen.check(scope, now) if check else chosen.rebuild(scope, now)
        self.stdout.write(f"{scope.path}: {found.events:,} events, {found.rows:,} rows")
        for each in found.differences:
            self.stdout.write(f"  {each}")
        if check and found.difference_count:
            raise CommandError(f"{found.difference_count:,} values are not what the events told.", returncode=1)
        self.stdout.write(f"{found.difference_count:,} values put right." if found.difference_count else "Identical.")

    def _verify(
        self, *, body: Path, headers: Path, scheme: str, secret_variable: str, at: int | None, **_: Any
    ) -> None:
        secret = os.environ.get(secret_variable, "")
        if not secret:
            raise CommandError(f"Put the secret into the environment variable {secret_variable}.")
        given, now = _headers(headers), time.time() if at is None else at
        try:
            schemes.find(scheme).verify(given, _read(body), "", now, [secret])
        except SignatureRefused as problem:
            hint = _hint(problem.reason, given.get("x-lamba-signature", "")) if scheme == schemes.DEFAULT else ""
            raise CommandError(schemes.REASONS[problem.reason] + hint) from None
        self.stdout.write("The signature is valid.")


def _sentences() -> str:
    return "; ".join(f"{name}: {each.sentence}" for name, each in projections.every().items())


def _headers(path: Path) -> Mapping[str, str]:
    """The headers by their names in lower case."""
    try:
        found = json.loads(_read(path))
    except ValueError as problem:
        raise CommandError(f"{path} holds no JSON: {problem}.") from None
    if not isinstance(found, dict):
        raise CommandError(f'{path} holds no JSON object, such as {{"X-Lamba-Timestamp": "1710000000"}}.')
    return {str(name).lower(): str(text) for name, text in found.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CommandError(f"{path} can't be read: {problem.strerror}.") from None


def _hint(reason: str, signature: str) -> str:
    if reason == "no_matching_signature" and not signature.startswith("v1="):
        return " It does not begin with v1=: only Lamba's v1 form is believed."
    if reason == "no_matching_signature" and signature != signature.lower():
        return " Its hex digits must be in lower case."
    return ""


def _scope(path: str) -> Scope:
    parts = path.strip("/").split("/")
    found = (
        Environment.objects.select_related("project__workspace")
        .filter(project__workspace__slug=parts[0], project__slug=parts[1], name=parts[2])
        .first()
        if len(parts) == 3
        else None
    )
    if found is None:
        raise CommandError(f"There is no environment {path}. Name it as workspace/project/environment.")
    return access.scope_of(found)


def _moment(text: str) -> datetime:
    moment = parse_moment(text)
    if moment is None:
        raise ArgumentTypeError(f"{text!r} is not an ISO-8601 time with a zone, such as 2026-11-23T09:00:00Z")
    return moment
