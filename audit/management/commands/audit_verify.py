"""Exit code 0: every chain is whole. 1: tampered, the first break is named. 2: no such environment, or no such file."""

from argparse import ArgumentParser
from dataclasses import asdict
from json import dumps
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import chain, offline_verifier, signatures
from audit.models import AuditEntry, Chain
from audit.verify import ChainReport, verify_chain
from audit.verify_ledger import LedgerReport, verify_ledger
from projects import access
from projects.models import Environment
from projects.scoping import Scope, normalise_environment


class Command(BaseCommand):
    help = "Verify the audit chains, their signed checkpoints and the ledger sealed into them; name the first break."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--environment", metavar="WORKSPACE/PROJECT/ENVIRONMENT", help="only this one")
        parser.add_argument(
            "--from", dest="file", metavar="EXPORT", help="an export or statement; compared with the database"
        )
        parser.add_argument(
            "--key", action="append", default=[], help="a public key that you kept, in hex; ours if left out"
        )
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"]:
            self._verify_file(**options)
            return
        scopes = [_scope(options["environment"])] if options["environment"] else _every_scope()
        keys = [chain.chain_key(scope=scope) for scope in scopes]
        if not options["environment"]:
            keys = list(Chain.objects.order_by("key").values_list("key", flat=True))
        chains = [verify_chain(key=key) for key in keys]
        ledgers = {scope.path: verify_ledger(scope=scope) for scope in scopes}
        ok = all(report.ok for report in chains) and all(report.ok for report in ledgers.values())
        if options["json"]:
            found = {path: report.as_json() for path, report in ledgers.items()}
            self.stdout.write(dumps({"ok": ok, "chains": [each.as_json() for each in chains], "ledgers": found}))
        else:
            self._say(chains, ledgers)
        if not ok:
            raise CommandError("The evidence was tampered with.", returncode=1)

    def _verify_file(self, *, file: str, key: list[str], json: bool, **_: Any) -> None:
        """The file by itself, then against the chain that the database has now."""
        try:
            found = offline_verifier.verify_file(file, key or [public.hex() for public in signatures.public_keys()])
        except (OSError, offline_verifier.Unreadable) as problem:
            raise CommandError(str(problem), returncode=2) from problem
        if found.flaw is None and found.last:
            found.flaw = _against_database(found)
        self.stdout.write(dumps({"ok": found.flaw is None, **asdict(found)}) if json else _file_lines(found))
        if found.flaw:
            raise CommandError("The evidence was tampered with.", returncode=1)

    def _say(self, chains: list[ChainReport], ledgers: dict[str, LedgerReport]) -> None:
        for report in chains:
            counts = f"{report.entries:,} entries, {report.checkpoints:,} checkpoints, {report.erased:,} erased names, "
            counts += f"{report.emptied:,} emptied"
            self.stdout.write(f"{_word(report.ok)} {report.chain}: {counts}{_flaw(report)}")
        for path, ledger in ledgers.items():
            counts = f"{ledger.postings:,} postings in {ledger.batches:,} batches, {ledger.unsealed:,} not yet sealed"
            self.stdout.write(f"{_word(ledger.ok)} ledger {path}: {counts}{_flaw(ledger)}")


def _against_database(found: offline_verifier.Report) -> dict[str, Any] | None:
    """A chain that lost or changed an entry since the export contradicts it."""
    rows = AuditEntry.objects.filter(sequence=found.last)
    if any(bytes(row.hash).hex() == found.head for row in rows):
        return None
    kind = "edited" if rows else "truncated"
    return {"kind": kind, "sequence": found.last, "detail": "The database no longer has the file's last entry."}


def _file_lines(found: offline_verifier.Report) -> str:
    counts = f"{found.entries:,} entries, {found.checkpoints:,} checkpoints, {found.withheld:,} by hash alone"
    line = f"{_word(found.flaw is None)} {found.subject}: {counts}"
    return (
        f"{line}\n       {found.flaw['kind']} at {found.flaw['sequence']}: {found.flaw['detail']}"
        if found.flaw
        else line
    )


def _word(ok: bool) -> str:
    return "ok    " if ok else "BROKEN"


def _flaw(report: ChainReport | LedgerReport) -> str:
    return f"\n       {report.flaw.kind} at {report.flaw.sequence}: {report.flaw.detail}" if report.flaw else ""


def _every_scope() -> list[Scope]:
    rows = Environment.objects.select_related("project__workspace").order_by("pk")
    return [access.scope_of(row) for row in rows]


def _scope(path: str) -> Scope:
    workspace, _, rest = path.strip("/").partition("/")
    project, _, environment = rest.partition("/")
    found = (
        Environment.objects.select_related("project__workspace")
        .filter(
            project__workspace__slug=workspace, project__slug=project, name=normalise_environment(environment) or ""
        )
        .first()
    )
    if found is None:
        raise CommandError(f"There is no environment {path!r}. Use workspace/project/environment.", returncode=2)
    return access.scope_of(found)
