"""Why is this person (not) in? The truth tree, where each value came from, what else counts, and the nearest way in.

Over today's facts; or, where a snapshot is named, over what was known then. A member's stored truth stands above all.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from audiences import facts, judging, nearest, people, remembering
from audiences.facts import Known
from audiences.models import AudienceVersion, Person, Snapshot
from audiences.reasons import LABELS, REASONS, SENTENCES
from audiences.rules.ast import Rule
from audiences.rules.clock import Clock
from audiences.rules.compile import compiled
from audiences.rules.explain import Truth, evaluate
from audiences.rules.parse import parse
from audiences.rules.reading import facts_of
from audiences.rules.vocabulary import Vocabulary, load, pinned
from audit import chain
from lamba_campaigns.lib.cells import safe_cell
from lamba_campaigns.lib.errors import NotFound
from lamba_campaigns.lib.sql import durable
from projects.scoping import Actor, Scope


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the answer. `known` is the fact behind a condition, where one was told.

    `helps`: the line speaks for being in. Inside a group that forbids, that is what does not hold.
    """

    truth: Truth
    known: Known | None
    helps: bool
    children: tuple["Node", ...] = ()
    inside: tuple["Node", ...] = ()  # the rules of the audiences that the condition names


@dataclass(frozen=True, slots=True)
class Explanation:
    """`matches` is the rule's answer, `reason` what keeps a matching person out ("" for nothing).

    `snapshot`: the answer is of that moment. `missing`: the least that would have let the person in.
    """

    person: Person
    version: AudienceVersion
    at: datetime
    channel: str
    tree: Node
    reason: str
    missing: tuple[nearest.Change, ...] = ()
    snapshot: Snapshot | None = None
    position: int = 0  # in the snapshot; 0 for somebody whom the rule never matched

    @property
    def would(self) -> str:
        """What would let the person in, as a sentence; empty for somebody who is in."""
        return nearest.sentence(self.missing, self.reason)

    @property
    def erased(self) -> bool:
        """Nobody who was erased is in an audience today, whatever the rule makes of empty facts."""
        return self.snapshot is None and self.person.erased_at is not None

    @property
    def matches(self) -> bool:
        return self.tree.truth.holds and not self.erased

    @property
    def unknown_then(self) -> bool:
        """The rule would match, and yet the snapshot has no row: it could not see this person."""
        return self.matches and self.snapshot is not None and not self.position

    @property
    def included(self) -> bool:
        return self.matches and not self.reason and not self.unknown_then

    @property
    def verdict(self) -> str:
        """One sentence that answers the question."""
        if self.erased:
            return "Not in: this person was erased."
        if not self.matches:
            return "Not in: the rule does not match."
        if self.unknown_then:
            return "Not in: nobody here knew this person when the snapshot was taken, or the person was erased."
        return (
            f"Not in: {SENTENCES[self.reason]}" if self.reason else "In: the rule matches and nothing forbids contact."
        )

    @property
    def label(self) -> str:
        return LABELS.get(self.reason, "")


def explain(
    *,
    scope: Scope,
    version: AudienceVersion,
    person: Person,
    now: datetime,
    channel: str = "email",
    vocabulary: Vocabulary | None = None,
) -> Explanation:
    """The answer for one person as of `now`."""
    vocabulary = vocabulary or load(scope)
    clock = Clock(now, scope.zone)
    rule = parse(version.rule)
    seen = facts_of(scope=scope, person_ids=[person.pk], vocabulary=vocabulary, rule=rule)[person.pk]
    truth = evaluate(rule, seen, clock=clock, vocabulary=vocabulary)
    tree = _with_origins(truth, facts.of_person(scope=scope, person_id=person.pk), wanted=True)
    if person.erased_at:
        return Explanation(person, version, now, channel, tree, "")
    reason = _reason(scope, rule, vocabulary, person, channel, now) if truth.holds else ""
    missing = nearest.changes(rule, truth, clock=clock, vocabulary=vocabulary)
    return Explanation(person, version, now, channel, tree, reason, missing)


def explain_then(
    *, scope: Scope, snapshot: Snapshot, person: Person, vocabulary: Vocabulary | None = None
) -> Explanation:
    """The answer of a snapshot: with the values that were known when it was taken, for members and for anyone else."""
    version = snapshot.audience_version
    vocabulary = pinned(vocabulary or load(scope), scope=scope, versions=snapshot.nested)
    clock = Clock(snapshot.taken_at, scope.zone)
    rule = parse(version.rule)
    then = remembering.remember(scope=scope, people=[person], taken=snapshot, vocabulary=vocabulary)[person.pk]
    truth = evaluate(rule, then.facts, clock=clock, vocabulary=vocabulary)
    row = remembering.member(snapshot=snapshot, person=person)
    if row:
        truth = _as_stored(rule, truth, int(row["truth"]))
    return Explanation(
        person,
        version,
        snapshot.taken_at,
        snapshot.channel,
        _with_origins(truth, then.known, wanted=True),
        REASONS.get(row["reason"], "") if row else "",
        nearest.changes(rule, truth, clock=clock, vocabulary=vocabulary),
        snapshot,
        row["position"] if row else 0,
    )


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
        "nearest": {
            "sentence": explanation.would or None,
            "conditions": [{"pointer": f"#{each.path}", "words": each.words} for each in explanation.missing],
        },
        "snapshotId": explanation.snapshot.public_id if explanation.snapshot else None,
        "position": explanation.position or None,
        "tree": _node_json(explanation.tree),
    }


def as_csv(explanation: Explanation) -> str:
    """One line a condition, below one line for the whole. No cell is a formula."""
    told = io.StringIO()
    writer = csv.writer(told)
    writer.writerow(["person", "pointer", "condition", "holds", "seen", "source", "occurred_at"])
    person = explanation.person.external_id
    whole = " ".join(part for part in (explanation.verdict, explanation.would) if part)
    writer.writerow([safe_cell(person), "#", safe_cell(whole), _yes(explanation.included), "", "", ""])
    for node in _leaves(explanation.tree):
        known = node.known
        cells = [person, f"#{node.truth.path}", node.truth.words, _yes(node.truth.holds), node.truth.seen]
        cells += [known.source, known.occurred_at.isoformat()] if known else ["", ""]
        writer.writerow([safe_cell(cell) for cell in cells])
    return told.getvalue()


def export(*, scope: Scope, actor: Actor, explanation: Explanation, now: datetime) -> str:
    """The CSV, after the audit trail says who took it."""
    with durable():
        chain.record(
            scope=scope,
            actor=actor,
            action="people.exported",
            subject=chain.Subject("person", explanation.person.public_id),
            now=now,
            after={"what": "explanation", "audience": explanation.version.audience.public_id},
        )
    return as_csv(explanation)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _leaves(node: Node) -> list[Node]:
    below = [leaf for child in node.children for leaf in _leaves(child)]
    return below if node.truth.mode else [node, *below]


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
        **({"inside": [_node_json(each) for each in node.inside]} if node.inside else {}),
    }


def _as_stored(rule: Rule, truth: Truth, bits: int) -> Truth:
    """The tree with the stored truth of each condition. A value that was erased since can't be shown any more."""
    return _restored(truth, {path: bool(bits >> bit & 1) for path, bit in rule.bits().items()})


def _restored(truth: Truth, stored: Mapping[str, bool]) -> Truth:
    if not truth.mode:
        same = truth.path not in stored or stored[truth.path] == truth.holds
        return truth if same else replace(truth, holds=stored[truth.path], seen="no longer kept")
    children = tuple(_restored(child, stored) for child in truth.children)
    some, every = any(child.holds for child in children), all(child.holds for child in children)
    return replace(truth, children=children, holds={"all": every, "any": some, "none": not some}[truth.mode])


def _with_origins(truth: Truth, known: Sequence[Known], *, wanted: bool) -> Node:
    below = wanted != (truth.mode == "none")
    children = tuple(_with_origins(child, known, wanted=below) for child in truth.children)
    inside = tuple(_with_origins(tree, known, wanted=True) for tree in truth.inside)
    return Node(
        truth, None if truth.mode else remembering.origin(truth.field, known), truth.holds == wanted, children, inside
    )


def _reason(scope: Scope, rule: Rule, words: Vocabulary, person: Person, channel: str, now: datetime) -> str:
    """What keeps a matching person out, by the statement that judges everybody: alone, or beside who has the address.

    Twins by phone number are told apart by a snapshot only: no index finds them.
    """
    found = judging.reason_of(
        person.pk,
        email=person.email if channel == "email" else "",
        scope=scope,
        rule=compiled(rule, scope=scope, now=now, vocabulary=words),
        channel=channel,
        vocabulary=words,
        now=now,
    )
    return REASONS.get(found, "")
