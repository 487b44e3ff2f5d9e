"""`python -m docs.generate` writes the reference pages from the code; with --check it only says which are out of date.

Each page is a table read from the module that the product itself reads, so a page can't say something else.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PAGES = Path(__file__).parent / "reference"


def permissions() -> str:
    """Roles and what each may do."""
    from projects.roles import PERMISSIONS, ROLES

    rows = [[f"`{each}`", *("yes" if each in ROLES[role] else "" for role in ROLES)] for each in PERMISSIONS]
    return _page(
        "Permissions",
        "One table decides who may do what (`projects/roles.py`). An API key carries permissions of its own, never more "
        "than its maker had. Somebody outside the workspace gets 404, a missing permission 403.",
        _table(["permission", *ROLES], rows),
    )


def reasons() -> str:
    """Why a matched person is left out."""
    from audiences.reasons import LABELS, REASONS, SENTENCES

    rows = [[str(number), f"`{name}`", LABELS[name], SENTENCES[name]] for number, name in REASONS.items()]
    return _page(
        "Reasons for exclusion",
        "Everybody whom the rule matches becomes a member of the snapshot or is excluded with exactly one reason: the first "
        "of this list that holds. At hand-off it is checked again; who drops out then is excluded with `late:` before the "
        "reason.",
        _table(["order", "reason", "in the console", "it means"], rows),
    )


def accounts() -> str:
    """The ledger's accounts."""
    from audit.ledger import ACCOUNTS
    from campaigns.books import ACCOUNT_LABELS

    rows = [[f"`{name}`", ACCOUNT_LABELS.get(name, "Excluded, by reason"), _ACCOUNTS[name]] for name in ACCOUNTS]
    return _page(
        "Ledger accounts",
        "Per send job the accounts always sum to the planned number; `residual` is the difference and must be 0. Complaints, "
        "unsubscribes, opens and clicks are overlays: they are counted beside the accounts and move nothing.",
        _table(["account", "in the console", "what stands there"], rows),
    )


def campaign_states() -> str:
    """The life of a campaign."""
    from campaigns.lifecycle import PERSON_ACTIONS, TABLE

    rows = [
        [
            f"`{action}`",
            "a person" if action in PERSON_ACTIONS else "the machine",
            f"`{before}`",
            f"`{after}`",
            f"`{rule.event}`" if rule.event else "",
        ]
        for action, rule in TABLE.items()
        for before, after in rule.moves.items()
    ]
    return _page(
        "Campaign states",
        "Every change of state is one compare-and-swap, one audit entry and at most one event. Any other move is a 409 that "
        "says from which states it would work.",
        _table(["action", "by", "from", "to", "event"], rows),
    )


def plan_limits() -> str:
    """The capacity dimensions and the plans."""
    from limits import catalogue
    from limits.keys import DIMENSIONS

    found = catalogue.shipped()
    keys = [[f"`{each.key}`", each.kind, each.label, each.detail] for each in DIMENSIONS.values()]
    plans = [
        [plan.name, *(_number(plan.limits.get(key)) for key in DIMENSIONS), ", ".join(sorted(plan.channels))]
        for plan in found.plans.values()
    ]
    add_ons = [
        [
            f"`{each.sku}`",
            each.name,
            ", ".join(f"{key} +{n:,}" for key, n in each.adds.items()) or f"channel {each.channel}",
        ]
        for each in found.add_ons.values()
    ]
    return _page(
        "Plan limits",
        f"{found.source} Catalogue {found.version}, from `limits/catalogue.yaml`. A refusal is a 402 with every violation "
        "at once and the remedies in the order in which they are offered.",
        _table(["limit", "kind", "in the console", "how it is counted"], keys),
        "## Demo plans",
        _table(["plan", *DIMENSIONS, "channels"], plans),
        "## Demo add-ons",
        _table(["sku", "name", "brings"], add_ons),
    )


def events() -> str:
    """Every event type."""
    from webhooks import catalog

    rows = [[f"`{each.name}`", each.direction, each.audience, each.sentence] for each in catalog.every()]
    return _page(
        "Event types",
        "`in` comes from Lamba or a mail provider, `out` is published here, `both` does either. Each type's JSON Schema and "
        "sample: `GET /api/v1/event-types` or the console under Events.",
        _table(["type", "direction", "audience", "what it says"], rows),
    )


def audit_actions() -> str:
    """What may stand in the audit trail."""
    from audit.actions import ACTIONS

    return _page(
        "Audit actions",
        "Every decision is one entry in the chain of its environment, in the transaction of the decision; a refused attempt "
        "too, with `outcome` refused.",
        _table(["action", "sentence"], [[f"`{name}`", sentence] for name, sentence in ACTIONS.items()]),
    )


def rule_fields() -> str:
    """What an audience rule may ask about."""
    from audiences.rules.fields import CATALOGUE
    from audiences.rules.operators import OPERATORS

    rows = [[f"`{each.key}`", each.label, each.type, each.help] for each in CATALOGUE.values()]
    operators = [[kind, ", ".join(f"`{each.key}`" for each in known)] for kind, known in OPERATORS.items()]
    return _page(
        "Rule fields",
        'A rule is a tree of `{"all": […]}`, `{"any": […]}` and `{"none": […]}` over conditions '
        '`{"field", "op", "value"}`. Traits are asked for as `trait.<name>`, the date of a lifecycle stage as `reached.<stage>`.',
        _table(["field", "label", "type", "help"], rows),
        "## Operators by type",
        _table(["type", "operators"], operators),
    )


def sweeps() -> str:
    """What beat rings."""
    from django.conf import settings

    rows = [[f"`{name}`", f"{seconds:g}"] for name, seconds in settings.SWEEPS.items()]
    return _page(
        "Sweeps",
        "State lives in Postgres; these rings only make sure that nothing waits. A lost ring costs its interval, never work.",
        _table(["task", "seconds between rings"], rows),
    )


def errors() -> str:
    """Every refusal that REST or a command can answer."""
    from django.urls import get_resolver

    import campaigns.provisioning  # noqa: F401  # as below
    import limits.publishing  # noqa: F401  # what only a command refuses
    from lamba_campaigns.lib.errors import DomainError

    _ = get_resolver().url_patterns  # loads every view, and with it every refusal
    kinds = sorted(_kinds(DomainError), key=lambda kind: (kind.status, kind.code))
    rows = [[str(kind.status), f"`{kind.code}`", kind.title] for kind in kinds]
    return _page(
        "Errors",
        "Every refusal is `application/problem+json` (RFC 9457) with `errorCode`, `traceId`, `nextStep`, and `errors` with a "
        "JSON pointer for each wrong place. Nothing was changed when one of these is answered.",
        _table(["status", "errorCode", "title"], list(dict.fromkeys(map(tuple, rows)))),
    )


REFERENCE: dict[str, Callable[[], str]] = {
    "permissions.md": permissions,
    "exclusion-reasons.md": reasons,
    "ledger-accounts.md": accounts,
    "campaign-states.md": campaign_states,
    "plan-limits.md": plan_limits,
    "event-types.md": events,
    "audit-actions.md": audit_actions,
    "rule-fields.md": rule_fields,
    "sweeps.md": sweeps,
    "errors.md": errors,
}
_ACCOUNTS = {
    "excluded": "left out, by reason; never handed over",
    "pending": "waits for its turn",
    "in_flight": "claimed by a worker; its intent is durable, its outcome is not yet",
    "uncertain": "the worker was lost in between; never sent again by itself",
    "accepted": "the mail server took it; a receipt is still to come",
    "deferred": "a transient refusal; the next attempt is in the row, or the provider tries again itself",
    "delivered": "a receipt says so",
    "bounced": "a receipt says that it came back",
    "rejected": "the mail server refused it for good",
    "failed": "could not be sent: the template, the address or too many attempts",
    "cancelled": "the campaign was cancelled before its turn",
}


def stale() -> list[str]:
    """Names of the pages whose text is not what the code says now."""
    return [name for name, make in REFERENCE.items() if not _same(PAGES / name, make())]


def _same(page: Path, text: str) -> bool:
    return page.exists() and page.read_text() == text


def _page(title: str, intro: str, *parts: str) -> str:
    note = "<!-- Written by `python -m docs.generate`; a test compares it with the code. -->"
    return "\n\n".join([f"# {title}", note, intro, *parts]) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: int | None) -> str:
    return "unlimited" if value is None else f"{value:,}"


def _kinds(base: type[Any]) -> list[type[Any]]:
    found = [] if ".tests." in base.__module__ else [base]
    for below in base.__subclasses__():
        found += _kinds(below)
    return found


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lamba_campaigns.settings")
    os.environ.setdefault("LAMBA_MODE", "test")
    import django

    django.setup()
    if "--check" in sys.argv:
        sys.stdout.write("".join(f"out of date: docs/reference/{name}\n" for name in stale()))
        return 1 if stale() else 0
    PAGES.mkdir(exist_ok=True)
    for name, make in REFERENCE.items():
        (PAGES / name).write_text(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
