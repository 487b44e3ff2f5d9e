from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from limits import holders, reservations, subscriptions
from limits.models import Reservation, Subscription
from limits.reservations import Ask
from projects.scoping import Actor, Scope

Reserve = Callable[..., Reservation]


@pytest.fixture(autouse=True)
def _nobody_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """No app above answers for the purposes that these tests make up."""
    monkeypatch.setattr(holders, "_holders", {})


@pytest.fixture
def growth(scope: Scope, now: datetime) -> Subscription:
    """Acme is on Growth since the first of the month."""
    with transaction.atomic():
        return subscriptions.start(workspace_id=scope.workspace_id, plan="growth", now=now.replace(day=1, hour=0))


@pytest.fixture
def reserve(scope: Scope, actor: Actor, now: datetime) -> Reserve:
    """reserve("launch:cmp_1", included_email_volume=10, …) in one transaction; `asks` for names that are no word."""

    def call(purpose: str, *, into: Scope | None = None, **given: Any) -> Reservation:
        options: dict[str, Any] = {name: given.pop(name) for name in ("at", "accept_overage") if name in given}
        asks = given.pop("asks", None) or [Ask(key, quantity) for key, quantity in given.items()]
        with transaction.atomic():
            return reservations.reserve(
                scope=into or scope,
                actor=actor,
                purpose=purpose,
                asks=asks,
                now=now,
                **({"at": now} | options),
            )

    return call
