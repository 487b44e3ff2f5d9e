"""Lamba, as seen from a receiver: signed events at least once, in no order, some of them forged or astray."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import requests

from lamba_campaigns.lib.ids import new_id
from lamba_campaigns.lib.signing import lamba_v1_signature

CONNECTIONS = 16
DUPLICATE_SHARE = 0.05
TIMEOUT_SECONDS = 30
_NAMES = (
    "Maja Silva",
    "Luca Tanaka",
    "Ines Adeyemi",
    "Oskar Kim",
    "Zoë Jensen",
    "Lena Kaya",
    "Ivo Berg",
    "Wanjiru Olsen",
)
_DOMAINS = ("quarrylabs.example", "northwind.example", "brightleaf.example", "orchardly.example")


@dataclass(frozen=True, slots=True)
class Sender:
    """Where Lamba delivers for one environment, and how it signs there."""

    url: str
    secret: str
    workspace: str
    project: str
    environment: str
    tenant: str = "demo"

    def envelope(self, type: str, data: dict[str, Any], at: datetime) -> dict[str, Any]:
        return {
            "id": new_id("evt"),
            "type": type,
            "occurredAt": at.isoformat().replace("+00:00", "Z"),
            "workspaceId": self.workspace,
            "projectId": self.project,
            "environment": self.environment,
            "data": data,
        }

    def post(self, session: requests.Session, event: dict[str, Any], *, secret: str = "") -> int:
        """Deliver one event; the status of the answer."""
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        moment = str(int(time()))
        headers = {
            "Content-Type": "application/json",
            "X-Lamba-Event": event["type"],
            "X-Lamba-Tenant": self.tenant,
            "X-Lamba-Timestamp": moment,
            "X-Lamba-Signature": lamba_v1_signature(secret=secret or self.secret, timestamp=moment, body=body),
        }
        return session.post(self.url, data=body, headers=headers, timeout=TIMEOUT_SECONDS).status_code

    def deliver(self, events: Sequence[dict[str, Any]]) -> Counter[int]:
        """All events over a few connections; how many answers had which status."""
        shares = [events[start::CONNECTIONS] for start in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            return sum(pool.map(self._share, shares), Counter())

    def _share(self, events: Sequence[dict[str, Any]]) -> Counter[int]:
        with requests.Session() as session:
            return Counter(self.post(session, event) for event in events)


@dataclass(frozen=True, slots=True)
class Story:
    """One person's life at Lamba, and what must become of it: contacted, or left out for one reason."""

    user: str
    email: str | None
    outcome: str  # "included", a reason for exclusion, or "unmatched"
    events: tuple[dict[str, Any], ...]


def now() -> datetime:
    return datetime.now(UTC)


def stories(sender: Sender, *, people: int, seed: str) -> Iterator[Story]:
    """`people` lives. One in twenty never consented, others lost their membership, have no address and so on."""
    chance = random.Random(seed)  # noqa: S311 - a script, not a secret
    for number in range(people):
        yield _story(sender, number, chance, seed)


def _story(sender: Sender, number: int, chance: random.Random, seed: str) -> Story:
    user, now = f"usr_{seed}_{number:06d}", datetime.now(UTC)
    joined = now - timedelta(days=chance.randrange(10, 400))
    email: str | None = f"{seed}-{number}@{chance.choice(_DOMAINS)}".lower()
    outcome = _OUTCOMES.get(number % 40, "included")
    if outcome == "no_address":
        email = None
    name = chance.choice(_NAMES)
    stage = "trial" if outcome == "unmatched" else "customer"
    identity = {"userId": user, "name": name, "givenName": name.split()[0], "locale": "en", "country": "DE"}
    told: list[tuple[str, dict[str, Any], datetime]] = [
        ("user.created", identity | ({"email": email} if email else {}), joined),
        ("membership.created", {"userId": user, "state": "active", "roles": ["member"]}, joined),
        ("lifecycle.changed", {"userId": user, "stage": "trial"}, joined + timedelta(hours=1)),
        ("lifecycle.changed", {"userId": user, "stage": stage}, joined + timedelta(days=3)),
        ("session.created", {"userId": user, "sessionId": new_id("ses")}, now - timedelta(days=chance.randrange(1, 9))),
        ("segment.entered", {"userId": user, "segment": f"demo-{seed}"}, joined),
    ]
    if number % 40 != _NEVER_ASKED:
        told.append(("consent.changed", {"userId": user, "channel": "email", "granted": True}, joined))
    if outcome == "membership_lost":
        told.append(("membership.removed", {"userId": user, "state": "removed"}, now - timedelta(days=1)))
    if number % 40 == _TOOK_IT_BACK:
        told.append(
            ("consent.changed", {"userId": user, "channel": "email", "granted": False}, now - timedelta(hours=5))
        )
    return Story(user, email, outcome, tuple(sender.envelope(type, data, at) for type, data, at in told))


_NEVER_ASKED, _TOOK_IT_BACK = 3, 31  # without consent, each for a reason of their own
_OUTCOMES = {
    _NEVER_ASKED: "no_consent",
    11: "membership_lost",
    17: "no_address",
    23: "unmatched",
    _TOOK_IT_BACK: "no_consent",
    37: "unmatched",
}


def delivery_order(events: Sequence[dict[str, Any]], *, seed: str) -> list[dict[str, Any]]:
    """Shuffled, and one in twenty twice."""
    chance = random.Random(seed)  # noqa: S311 - a script, not a secret
    sent = [*events, *chance.sample(list(events), int(len(events) * DUPLICATE_SHARE))]
    chance.shuffle(sent)
    return sent
