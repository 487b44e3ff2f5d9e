"""A process that launches, settles and ends campaigns without pause, for tests that kill it. A line per commit."""

import sys
from datetime import UTC, datetime
from random import Random

import django

django.setup()

from django.db import transaction  # noqa: E402

from limits import reservations  # noqa: E402
from limits.reservations import Ask, PlanLimitExceeded  # noqa: E402
from projects import access  # noqa: E402
from projects.scoping import SYSTEM  # noqa: E402

VOLUME, MONTHLY, ACTIVE = "included_email_volume", "email_campaigns_per_month", "active_campaigns"
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def main(name: str, environment_id: int, launches: int) -> None:
    scope, dice = access.scope_by_id(environment_id), Random(name)
    for number in range(launches):
        purpose, wanted = f"launch:cmp_{name}_{number}:1", dice.randint(1, 40)
        asks = dice.sample([Ask(VOLUME, wanted), Ask(MONTHLY, 1), Ask(ACTIVE, 1)], 3)
        try:
            with transaction.atomic():
                reservations.reserve(scope=scope, actor=SYSTEM, purpose=purpose, asks=asks[:2], at=NOW, now=NOW)
            with transaction.atomic():
                reservations.adjust(scope=scope, actor=SYSTEM, purpose=purpose, asks=asks, at=NOW, now=NOW)
        except PlanLimitExceeded:
            with transaction.atomic():
                reservations.release(scope=scope, purpose=purpose, now=NOW)
            say("refused", purpose, 0)
            continue
        say("held", purpose, wanted)
        sent = dice.randint(0, wanted)
        with transaction.atomic():
            reservations.settle(scope=scope, purpose=purpose, key=VOLUME, quantity=sent, event_key="all", now=NOW)
        say("settled", purpose, sent)
        with transaction.atomic():
            reservations.release(scope=scope, purpose=purpose, now=NOW)
        say("released", purpose, sent)


def say(what: str, purpose: str, quantity: int) -> None:
    sys.stdout.write(f"{what} {purpose} {quantity}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
