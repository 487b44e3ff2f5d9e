"""A verification that somebody asked for is a decision too: it is in the chain afterwards, with its result."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import chain
from audit.verify import ChainReport, verify_chain
from audit.verify_ledger import LedgerReport, verify_ledger
from lamba_campaigns.lib import sql
from projects.scoping import Actor, Scope


@dataclass(frozen=True, slots=True)
class Verification:
    """What one run found. `ledger` is None when it was not asked for."""

    chain: ChainReport
    ledger: LedgerReport | None
    at: datetime

    @property
    def ok(self) -> bool:
        return self.chain.ok and (self.ledger is None or self.ledger.ok)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "verifiedAt": self.at,
            "chain": self.chain.as_json(),
            "ledger": self.ledger and self.ledger.as_json(),
        }


def run(*, scope: Scope, actor: Actor, ledger: bool, now: datetime) -> Verification:
    """Read the environment's chain (and its ledger) to the end or the first break, then say so in the chain."""
    found = Verification(
        verify_chain(key=chain.chain_key(scope=scope)), verify_ledger(scope=scope) if ledger else None, now
    )
    flaw = found.chain.flaw or (found.ledger.flaw if found.ledger else None)
    after = {"ok": found.ok, "entries": found.chain.entries, "head": found.chain.head}
    after |= {"postings": found.ledger.postings} if found.ledger else {}
    with sql.durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="verification.run",
            subject=chain.Subject("chain", found.chain.chain),
            now=now,
            after=after | ({"break": flaw.kind, "at": flaw.sequence} if flaw else {}),
            reason=flaw.detail if flaw else "",
        )
    return found
