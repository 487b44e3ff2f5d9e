"""Why is this person (not) in? The truth tree over today's facts, where each value came from, and what else counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from audiences import facts, people
from audiences.channels import CHANNEL_BITS
from audiences.facts import Known
from audiences.models import AudienceVersion, Person, PersonFacts
from audiences.models.facts import AddressState, Membership
from audiences.reasons import LABELS, SENTENCES
from audiences.rules.clock import Clock
from audiences.rules.explain import Truth, evaluate
from audiences.rules.parse import parse
from audiences.rules.reading import facts_of
from audiences.rules.vocabulary import load
from lamba_campaigns.lib.errors import NotFound
from projects.scoping import Scope

# Rule field -> the fact that it is a projection of, where the names differ.
_FACT_OF: Final = {"lifecycle_at": "lifecycle", "last_session": "session", "session_count": "session"}
_NO_FACT: Final = frozenset({"created", "external_id", "last_contacted"})


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the answer. `known` is the fact behind a condition, where one was told.

    `helps`: the line speaks for being in. Inside a group that forbids, that is what does not hold.
    """

    truth: Truth
    known: Known | None
    helps: bool
    children: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`matches` is the rule's answer, `reason` what keeps a matching person out ("" for nothing)."""

    person: Person
    version: AudienceVersion
    at: datetime
    channel: str
    tree: Node
    reason: str

    @property
    def matches(self) -> bool:
        return self.tree.truth.holds

    @property
    def included(self) -> bool:
        return self.matches and not self.reason

    @property
    def verdict(self) -> str:
        """One sentence that answers the question."""
        if not self.matches:
            return "Not in: the rule does not match."
        return (
            f"Not in: {SENTENCES[self.reason]}" if self.reason else "In: the rule matches and nothing forbids contact."
        )

    @property
    def label(self) -> str:
        return LABELS.get(self.reason, "")


def explain(
    *, scope: Scope, version: AudienceVersion, person: Person, now: datetime, channel: str = "email"
) -> Explanation:
    """The answer for one person as of `now`."""
    vocabulary = load(scope)
    clock = Clock(now, scope.zone)
    rule = parse(version.rule)
    seen = facts_of(scope=scope, person_ids=[person.pk], vocabulary=vocabulary, rule=rule)[person.pk]
    truth = evaluate(rule, seen, clock=clock, vocabulary=vocabulary)
    tree = _with_origins(truth, facts.of_person(scope=scope, person_id=person.pk), wanted=True)
    reason = _reason(scope, person, channel) if truth.holds else ""
    return Explanation(person, version, now, channel, tree, reason)


def find_one(*, scope: Scope, text: str) -> Person:
    """The person that an address, a user id or a public id names. NotFound for nobody, and for several."""
    found = people.find(scope=scope, text=text, limit=2)
    if not found:
        raise NotFound(
            f"Nobody here has the address or id {text.strip()!r}.",
            next_step="Give a whole email address, Lamba's user id, or an id that starts with per_.",
        )
    if len(found) > 1:
        raise NotFound(
            f"Several people have the address {text.strip()!r}.", next_step="Name one of them by Lamba's user id."
        )
    return found[0]


def as_json(explanation: Explanation) -> dict[str, Any]:
    """The answer as REST gives it."""
    return {
        "person": {"id": explanation.person.public_id, "externalId": explanation.person.external_id},
        "audienceVersion": explanation.version.number,
        "evaluatedAt": explanation.at,
        "channel": explanation.channel,
        "matches": explanation.matches,
        "included": explanation.included,
        "reason": explanation.reason or None,
        "verdict": explanation.verdict,
        "tree": _node_json(explanation.tree),
    }


def _node_json(node: Node) -> dict[str, Any]:
    truth = node.truth
    found: dict[str, Any] = {"pointer": f"#{truth.path}", "holds": truth.holds, "words": truth.words}
    if truth.mode:
        return found | {"mode": truth.mode, "children": [_node_json(child) for child in node.children]}
    known = node.known
    return found | {
        "field": truth.field,
        "seen": truth.seen,
        "source": known.source if known else None,
        "occurredAt": known.occurred_at if known else None,
    }


def _with_origins(truth: Truth, known: Sequence[Known], *, wanted: bool) -> Node:
    below = wanted != (truth.mode == "none")
    children = tuple(_with_origins(child, known, wanted=below) for child in truth.children)
    return Node(truth, None if truth.mode else _origin(truth.field, known), truth.holds == wanted, children)


def _origin(field: str, known: Sequence[Known]) -> Known | None:
    """The newest fact behind a field: `role` stands for `roles` and every `role.…`."""
    if field in _NO_FACT:
        return None
    name = _FACT_OF.get(field, field)
    found = [each for each in known if each.field in (name, f"{name}s") or each.field.startswith(f"{name}.")]
    return max(found, key=lambda each: (each.occurred_at, each.source), default=None)


def _reason(scope: Scope, person: Person, channel: str) -> str:
    """The first reason that holds for this person alone; twins by address are known only when a snapshot is taken."""
    row = PersonFacts.objects.within(scope).get(pk=person.pk)
    bit = CHANNEL_BITS[channel]
    checks = (
        ("membership_lost", row.membership != Membership.ACTIVE),
        ("no_address", channel == "email" and row.address_state == AddressState.NONE),
        ("invalid_address", channel == "email" and row.address_state == AddressState.INVALID),
        ("no_consent", not row.consent_mask & bit),
        ("unsubscribed", row.unsubscribed_mask & bit),
        ("suppressed", row.suppressed_mask & bit),
    )
    return next((name for name, holds in checks if holds), "")
