"""Who manages endpoints is told by mail when one was switched off, once, whatever happens to worker and relay."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from conftest import World
from delivery import installation, notices
from delivery.tests.conftest import Postbox, free_port
from projects.models import Environment, Member
from projects.scoping import SYSTEM, Actor, Scope
from webhooks import endpoints
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db
REASON = "Every delivery has failed for 5 days."


@pytest.fixture
def disabled(scope: Scope, actor: Actor, now: datetime) -> Endpoint:
    endpoint, _ = endpoints.create_outbound(
        scope=scope, actor=actor, name="CRM", url="https://crm.example/hook", event_types=[], now=now
    )
    with transaction.atomic():
        endpoints.disable(scope=scope, actor=SYSTEM, endpoint=endpoint, reason=REASON, now=now)
    return endpoint


def due(scope: Scope) -> datetime | None:
    found: datetime | None = Endpoint.objects.within(scope).get().notice_due_at
    return found


def test_everybody_who_may_manage_endpoints_gets_one_mail(
    disabled: Endpoint, scope: Scope, world: World, now: datetime, postbox: Postbox
) -> None:
    Member.objects.filter(user=world.bob).update(role="viewer")

    assert notices.send_due(now=now) == 1
    assert notices.send_due(now=now + timedelta(days=1)) == 0

    [mail] = postbox.messages()
    assert (mail["To"], mail["From"]) == ("alice@example.com", "Acme <hello@acme.example>")
    assert mail["Subject"] == "CRM gets no more events from Acme App, production"
    text = mail.get_content().replace("\r\n", "\n")
    assert REASON in text
    assert f"/acme/app/production/endpoints/{disabled.public_id}/" in text
    assert due(scope) is None


def test_a_developer_is_told_too_and_a_sender_without_an_address_has_one(
    disabled: Endpoint, scope: Scope, world: World, now: datetime, postbox: Postbox, settings: Any
) -> None:
    Member.objects.filter(user=world.bob).update(role="developer")
    Environment.objects.filter(pk=scope.environment_id).update(sender_address="")
    settings.PUBLIC_URL = "https://campaigns.example"

    notices.send_due(now=now)

    assert postbox.addresses() == ["alice@example.com", "bob@example.com"]
    assert {mail["From"] for mail in postbox.messages()} == {"Acme <noreply@campaigns.example>"}


def test_a_relay_that_is_down_is_asked_again_and_given_up_after_days(
    disabled: Endpoint, scope: Scope, now: datetime, settings: Any
) -> None:
    settings.EMAIL_URL = f"smtp://127.0.0.1:{free_port()}"

    assert notices.send_due(now=now) == 0
    assert due(scope) == now + notices.TRY_AGAIN
    assert notices.send_due(now=now) == 0
    notices.send_due(now=now + notices.GIVEN_UP_AFTER)
    assert due(scope) is None


def test_a_copied_database_tells_nobody(
    disabled: Endpoint, scope: Scope, now: datetime, postbox: Postbox, settings: Any
) -> None:
    installation.require_own()
    settings.INSTALLATION_ID = "a-copy"

    notices.send_due(now=now)

    assert postbox.messages() == []
    assert due(scope) is not None


def test_whoever_switches_it_off_or_on_by_hand_needs_no_mail(
    disabled: Endpoint, scope: Scope, actor: Actor, now: datetime
) -> None:
    for version, status in ((2, "active"), (3, "disabled")):
        endpoints.update(
            scope=scope,
            actor=actor,
            endpoint_id=disabled.public_id,
            expected_version=version,
            changes={"status": status},  # type: ignore[typeddict-item]
            now=now,
        )
        assert due(scope) is None
