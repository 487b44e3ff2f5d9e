"""Four independent counts held against each other: captured mails, ledger, recipients, and what the outside expects."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from lamba_campaigns.embedded.demo.stage import Stage
from lamba_campaigns.embedded.demo.story import Told


@dataclass(frozen=True, slots=True)
class Proof:
    """The closing numbers and every disagreement, in words. No disagreement: the books close."""

    books: dict[str, Any]
    summary: dict[str, Any]
    disagreements: tuple[str, ...]


def prove(stage: Stage, told: Told) -> Proof:
    """Read everything again, over HTTP, and compare it to the last message."""
    books = stage.rest.get(f"/campaigns/{told.campaign}/books")
    mails = list(stage.rest.every("/captured-mails", limit=200))
    recipients = _recipients(stage, told)
    audit = stage.rest.post("/audit/verification")
    reconciliation = stage.rest.get("/reconciliation")["items"]
    breaks = sum(item["openBreaks"] for item in reconciliation)
    got = Counter(mail["recipient"].lower() for mail in mails)
    summary = {
        "planned": books["planned"],
        "residual": books["residual"],
        "duplicates": sum(count - 1 for count in got.values()),
        "breaks": breaks,
        "audit": "ok" if audit["ok"] else "broken",
        "state": books["state"],
        "excluded": books["excluded"],
        "captured": len(mails),
        **{name: count for name, count in books["accounts"].items() if count},
    }
    found = [
        *_of_mails(told, got, books),
        *_of_recipients(told, recipients, books),
        *_of_receipts(told, books),
        *_of_totals(summary, books),
    ]
    return Proof(books, summary, tuple(found))


def _recipients(stage: Stage, told: Told) -> list[dict[str, Any]]:
    """Everybody included and everybody left out; who dropped out at hand-off stands in both lists and counts once."""
    path = f"/campaigns/{told.campaign}/recipients"
    included = list(stage.rest.every(path, limit=200))
    known = {row["personId"] for row in included}
    left_out = stage.rest.every(path, outcome="excluded", limit=200)
    return included + [row for row in left_out if row["personId"] not in known]


def _of_mails(told: Told, got: Counter[str], books: dict[str, Any]) -> list[str]:
    found = [f"{count} mails to {address}" for address, count in got.items() if count > 1]
    found += [f"a mail to {address}, who must not get one" for address in sorted(set(got) - told.expected)]
    missing = told.expected - set(got)
    unsent = sum(books["accounts"][name] for name in ("uncertain", "failed", "rejected", "cancelled"))
    if len(missing) > (unsent if told.killed else 0):
        found.append(f"{len(missing)} people got no mail, the ledger knows of {unsent}")
    return found


def _of_recipients(told: Told, recipients: list[dict[str, Any]], books: dict[str, Any]) -> list[str]:
    outcomes = Counter(row["outcome"] for row in recipients)
    reasons = Counter(row["reason"].removeprefix("late:") for row in recipients if row["outcome"] == "excluded")
    expected = Counter(story.outcome for story in told.stories if story.outcome not in ("included", "unmatched"))
    found = []
    for name, count in books["accounts"].items():
        if outcomes[name] != count:
            found.append(f"{outcomes[name]} recipients are {name}, the ledger says {count}")
    if outcomes["excluded"] != books["excluded"]:
        found.append(f"{outcomes['excluded']} recipients are excluded, the ledger says {books['excluded']}")
    if reasons != expected:
        found.append(f"left out {dict(reasons)}, expected {dict(expected)}")
    return found


def _of_receipts(told: Told, books: dict[str, Any]) -> list[str]:
    return [
        f"{books['accounts'][name]} are {name}, the mail provider reported {count}"
        for name, count in told.ends.items()
        if books["accounts"][name] != count
    ]


def _of_totals(summary: dict[str, Any], books: dict[str, Any]) -> list[str]:
    total = books["excluded"] + sum(books["accounts"].values())
    found = [] if total == books["planned"] else [f"the accounts sum to {total}, planned were {books['planned']}"]
    for name in ("residual", "duplicates", "breaks"):
        if summary[name]:
            found.append(f"{name} is {summary[name]}")
    if summary["audit"] != "ok":
        found.append("the audit chain is broken")
    return found
