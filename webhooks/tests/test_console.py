"""Pages of events and endpoints: who may see and do what, secrets once, reasons asked for, hostile bodies as text."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from playwright._impl._driver import compute_driver_executable

from audit.models import AuditEntry
from conftest import World
from lamba_campaigns.web import navigation
from projects.models import Member
from projects.scoping import Actor, Scope
from webhooks import endpoints, outbox, process, reading, snippets
from webhooks.models import Delivery, DeliveryAttempt, Endpoint, EndpointSecret, InboundEvent
from webhooks.tests.conftest import Sender

pytestmark = pytest.mark.django_db
CAMPAIGN = {"campaign": {"id": "cmp_1", "name": "Spring", "channel": "email"}}
Browser = Callable[[User], Client]


def at(scope: Scope, name: str, *args: str) -> str:
    return navigation.url_of(scope, name, *args)


@pytest.fixture
def customer(scope: Scope, actor: Actor, now: datetime) -> Endpoint:
    endpoint, _ = endpoints.create_outbound(
        scope=scope, actor=actor, name="CRM", url="https://crm.example/hook", event_types=[], now=now
    )
    return endpoint


@pytest.fixture
def published(scope: Scope, customer: Endpoint, now: datetime) -> str:
    with transaction.atomic():
        return outbox.publish(scope=scope, type="campaign.launched", data=CAMPAIGN, now=now)


def test_every_page_shows_and_a_stranger_finds_none_of_them(
    browser_of: Browser, world: World, lamba: Sender, customer: Endpoint, published: str, scope: Scope
) -> None:
    lamba.post(lamba.envelope(id="evt_1"))
    pages = [
        at(scope, "event-list"),
        at(scope, "event-detail", "evt_1"),
        at(scope, "dead-letter-list"),
        at(scope, "outbox-list"),
        at(scope, "outbox-detail", published),
        at(scope, "event-types"),
        at(scope, "endpoint-list"),
        at(scope, "endpoint-new-in"),
        at(scope, "endpoint-new-out"),
        at(scope, "endpoint-detail", lamba.endpoint.public_id),
        at(scope, "endpoint-detail", customer.public_id),
        at(scope, "endpoint-edit", customer.public_id),
    ]
    owner, stranger = browser_of(world.alice), browser_of(world.charlie)

    assert {page: owner.get(page).status_code for page in pages} == dict.fromkeys(pages, 200)
    assert {page: stranger.get(page).status_code for page in pages} == dict.fromkeys(pages, 404)
    elsewhere = [page.replace("/production/", "/sandbox/") for page in pages if "evt_" in page or "whe_" in page]
    assert {page: owner.get(page).status_code for page in elsewhere} == dict.fromkeys(elsewhere, 404)


@pytest.mark.parametrize(
    ("role", "reads", "manages"), [("viewer", 403, 403), ("support", 200, 403), ("developer", 200, 302)]
)
def test_events_are_read_and_endpoints_managed_by_role(
    browser_of: Browser, world: World, customer: Endpoint, scope: Scope, role: str, reads: int, manages: int
) -> None:
    Member.objects.filter(user=world.bob).update(role=role)
    browser = browser_of(world.bob)

    assert browser.get(at(scope, "event-list")).status_code == reads
    answer = browser.post(at(scope, "endpoint-switch", customer.public_id), {"to": "disabled", "version": "1"})
    assert answer.status_code == manages
    assert Endpoint.objects.within(scope).get().status == ("disabled" if manages == 302 else "active")


def test_a_hostile_body_is_shown_as_text(browser_of: Browser, world: World, lamba: Sender, scope: Scope) -> None:
    lamba.post(b'{"id":"evt_1","x":"<script>alert(1)</script>\\u0000"}')
    lamba.post(b"\xff<img src=x onerror=alert(1)>\x00")
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))

    for event in InboundEvent.objects.within(scope):
        html = browser_of(world.alice).get(at(scope, "event-detail", event.event_id)).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "set aside" in html


def test_tabs_types_and_ids_narrow_the_inbox(browser_of: Browser, world: World, lamba: Sender, scope: Scope) -> None:
    lamba.post(lamba.envelope("application.changed", id="evt_ignored"))
    lamba.post(lamba.envelope(id="evt_elsewhere", environment="test"))
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    browser, path = browser_of(world.alice), at(scope, "event-list")

    def ids(query: str) -> set[str]:
        html = browser.get(path + query).content.decode()
        return {name for name in ("evt_ignored", "evt_elsewhere") if f'mono">{name}<' in html}

    assert ids("") == {"evt_ignored", "evt_elsewhere"}
    assert ids("?tab=quarantined") == {"evt_elsewhere"}
    assert ids("?type=application.changed") == {"evt_ignored"}
    assert ids("?q=evt_ignored") == {"evt_ignored"}
    assert ids("?before=0&after=x&tab=nonsense") == set()


def test_the_inbox_pages_both_ways(
    browser_of: Browser, world: World, lamba: Sender, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = reading.page_of.__kwdefaults__ or {}
    monkeypatch.setattr(reading.page_of, "__kwdefaults__", {**defaults, "size": 2})
    for number in range(5):
        lamba.post(lamba.envelope(id=f"evt_{number}"))
    browser, path = browser_of(world.alice), at(scope, "event-list")

    def page(query: str) -> Any:
        return browser.get(path + query).context["found"]

    seen, query = [], ""
    while True:
        found = page(query)
        seen += [event.event_id for event in found.items]
        if found.older is None:
            break
        query = f"?before={found.older}"
    assert seen == [f"evt_{number}" for number in (4, 3, 2, 1, 0)]
    back = page(f"?after={found.newer}")
    assert [event.event_id for event in back.items] == ["evt_2", "evt_1"]


def test_an_event_is_redriven_only_with_a_reason(
    browser_of: Browser, world: World, lamba: Sender, scope: Scope
) -> None:
    lamba.post(lamba.envelope("application.changed", id="evt_1"))
    process.run(now=datetime.now(UTC) + timedelta(seconds=1))
    browser, path = browser_of(world.alice), at(scope, "event-redrive", "evt_1")

    assert browser.post(path, {}).status_code == 422
    assert InboundEvent.objects.within(scope).get().state == "ignored"
    assert browser.post(path, {"reason": "A handler was added"}).status_code == 302

    assert InboundEvent.objects.within(scope).get().state == "retry"
    assert AuditEntry.objects.filter(action="webhook.redriven").get().reason == "A handler was added"
    assert browser.post(path, {"reason": "Again"}).status_code == 302


def test_a_new_endpoint_shows_its_secret_on_one_answer_only(browser_of: Browser, world: World, scope: Scope) -> None:
    browser = browser_of(world.alice)

    made = browser.post(at(scope, "endpoint-new-in"), {"name": "Lamba", "kind": "lamba"})

    assert made.status_code == 201
    secret = made.context["secret"]
    assert secret in made.content.decode()
    assert "no-store" in made.headers["Cache-Control"]
    endpoint = Endpoint.objects.within(scope).get()
    assert secret not in browser.get(at(scope, "endpoint-detail", endpoint.public_id)).content.decode()
    assert secret.encode() not in bytes(EndpointSecret.objects.within(scope).get().cipher)
    rotated = browser.post(at(scope, "endpoint-rotate", endpoint.public_id), {"overlap": "24"})
    assert rotated.status_code == 201
    assert rotated.context["secret"] not in ("", secret)


def test_a_refused_address_comes_back_at_its_field(browser_of: Browser, world: World, scope: Scope) -> None:
    answer = browser_of(world.alice).post(at(scope, "endpoint-new-out"), {"name": "CRM", "url": "http://10.0.0.1/hook"})

    assert answer.status_code == 422
    assert "https only" in answer.context["form"].errors["url"][0]
    assert Endpoint.objects.within(scope).count() == 0


def test_an_endpoint_is_edited_switched_tested_and_deleted(
    browser_of: Browser, world: World, customer: Endpoint, scope: Scope
) -> None:
    browser, endpoint = browser_of(world.alice), customer.public_id
    change = {"name": "Warehouse", "url": customer.url, "event_types": ["campaign.sent"]}

    assert browser.post(at(scope, "endpoint-edit", endpoint), change).status_code == 422
    assert browser.post(at(scope, "endpoint-edit", endpoint), change | {"version": "1"}).status_code == 302
    assert browser.post(at(scope, "endpoint-edit", endpoint), change | {"name": "x", "version": "1"}).status_code == 412
    assert browser.post(at(scope, "endpoint-test", endpoint)).status_code == 302
    assert browser.post(at(scope, "endpoint-switch", endpoint), {"to": "disabled", "version": "2"}).status_code == 302
    assert browser.post(at(scope, "endpoint-test", endpoint)).status_code == 409
    assert browser.post(at(scope, "endpoint-delete", endpoint), {"version": "3"}).status_code == 302

    row = Endpoint.objects.within(scope).get()
    assert (row.name, row.event_types, row.status) == ("Warehouse", ["campaign.sent"], "retired")
    assert [each.status for each in Delivery.objects.within(scope)] == ["skipped"]
    trail = AuditEntry.objects.filter(subject_id=endpoint).order_by("sequence").values_list("action", "outcome")
    assert list(trail) == [
        ("endpoint.created", "done"),
        ("endpoint.updated", "refused"),
        ("endpoint.updated", "done"),
        ("endpoint.updated", "refused"),
        ("endpoint.tested", "done"),
        ("endpoint.updated", "done"),
        ("endpoint.tested", "refused"),
        ("endpoint.deleted", "done"),
    ]


def test_a_failed_delivery_is_sent_again_from_its_event(
    browser_of: Browser, world: World, published: str, scope: Scope
) -> None:
    Delivery.objects.within(scope).update(status="failed", attempts=10)
    delivery = Delivery.objects.within(scope).get().public_id

    answer = browser_of(world.alice).post(
        at(scope, "delivery-resend", published, delivery), {"reason": "The CRM was down"}
    )

    assert answer.status_code == 302
    assert Delivery.objects.within(scope).get().status == "pending"


def test_a_try_shows_its_request_and_its_answer_with_their_headers(
    browser_of: Browser, world: World, published: str, scope: Scope, now: datetime
) -> None:
    DeliveryAttempt.objects.create(
        environment_id=scope.environment_id,
        delivery=Delivery.objects.within(scope).get(),
        number=1,
        started_at=now,
        duration_ms=3,
        request_headers={"webhook-id": published},
        response_code=500,
        response_headers={"Server": "<b>CRM"},
        excerpt="out of order",
    )

    html = browser_of(world.alice).get(at(scope, "outbox-detail", published)).content.decode()

    told = html.partition('aria-label="Request and answer 1">')[2].partition("</pre>")[0]
    assert told.strip() == f"webhook-id: {published}\n\n500\nServer: &lt;b&gt;CRM\n\nout of order"


def test_the_find_box_knows_ids(browser_of: Browser, world: World, lamba: Sender, published: str, scope: Scope) -> None:
    lamba.post(lamba.envelope(id="evt_1"))
    for text in ("evt_1", published, lamba.endpoint.public_id):
        html = browser_of(world.alice).get(at(scope, "find"), {"q": text}).content.decode()
        assert text in html
        assert "/events/" in html or "/endpoints/" in html


# --- what people copy -----------------------------------------------------------------------------------------------
def test_the_python_verifier_that_people_copy_works(lamba: Sender) -> None:
    space: dict[str, Any] = {}
    exec(snippets.text("verify_python"), space)  # noqa: S102 - our own snippet, as a customer would run it
    body = b'{"id":"evt_1"}'
    headers = {name.lower(): text for name, text in lamba.signed(body).items()}

    assert space["verify"](body, headers, lamba.secret)
    assert not space["verify"](body + b" ", headers, lamba.secret)
    assert not space["verify"](body, headers, "whsec_other")
    assert not space["verify"](body, {}, lamba.secret)
    assert not space["verify"](body, headers | {"x-lamba-signature": "\xff"}, lamba.secret)


def test_the_node_verifier_that_people_copy_works(lamba: Sender, tmp_path: Path) -> None:
    node = compute_driver_executable()[0]
    body = '{"id":"evt_1","name":"Zoë"}'
    headers = {name.lower(): text for name, text in lamba.signed(body.encode()).items()}
    cases = [(body, headers), (body + " ", headers), (body, {}), (body, headers | {"x-lamba-signature": "v1=ff"})]
    script = tmp_path / "verify.mjs"
    script.write_text(
        snippets.text("verify_node")
        + f"\nconst cases = {json.dumps(cases)};\n"
        + f"const results = cases.map(([b, h]) => verify(Buffer.from(b), h, {json.dumps(lamba.secret)}));\n"
        + "console.log(JSON.stringify(results));\n"
    )

    done = subprocess.run([str(node), str(script)], capture_output=True, text=True, check=True, timeout=30)

    assert json.loads(done.stdout) == [True, False, False, False]


def test_the_python_sender_that_people_copy_works(lamba: Sender, live_server: Any, scope: Scope) -> None:
    space: dict[str, Any] = {}
    exec(snippets.text("send_python"), space)  # noqa: S102 - our own snippet, as a customer would run it
    body = json.dumps(lamba.envelope(id="evt_1")).encode()

    answers = [space["send"](live_server.url + lamba.path, lamba.secret, body) for _ in range(2)]

    assert answers == [202, 200]
    assert InboundEvent.objects.within(scope).get().delivery_count == 2
