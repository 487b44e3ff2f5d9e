"""Limits of stop rules: ours, the environment's, the campaign's; a warning is told once, where people look."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from audit.models import AuditEntry
from delivery import breaker, defaults, jobs, stop_limits
from delivery.models import SendingDefaults, SendJob
from delivery.stop_limits import Limit
from delivery.tests.conftest import Postbox, state
from projects.scoping import Actor, Scope
from webhooks.models import InboundEvent

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
WHERE = "/api/v1/sending-defaults"


def refuse_every(postbox: Postbox, nth: int) -> None:
    """One of so many addresses is refused, by the number at the end of its name."""
    number = re.compile(r"(\d+)@")
    postbox.rcpt = lambda address: "554 5.7.1 Blocked" if int(number.findall(address)[0]) % nth == 0 else None


def test_the_nearest_document_that_names_a_rule_decides() -> None:
    environment = {"bounceRate": {"warn": 1.0, "stop": 2.0}, "errorRate": {"warn": 3.0, "stop": 4.0}}
    campaign = {"bounceRate": {"warn": 7.0, "stop": 8.0}}
    found = stop_limits.combined(environment, campaign)
    assert found["bounce_rate"] == Limit(7.0, 8.0)
    assert found["error_rate"] == Limit(3.0, 4.0)
    assert found["complaint_rate"] == Limit(0.1, 0.3)


def test_a_warning_is_told_once_and_the_job_goes_on(
    scope: Scope,
    now: datetime,
    api: Api,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    refuse_every(postbox, 8)  # 12.5 %: above the warn limit, below the stop limit
    job = make_job(1200)

    deliver(job)

    job.refresh_from_db()
    assert state(job) == "finished"
    (whole, domain) = job.warnings
    assert (whole["rule"], whole["domain"], domain["domain"]) == ("error_rate", "", "example.com")
    assert "were refused or failed" in whole["detail"] and "the warn limit is 10.0%" in whole["detail"]
    entries = AuditEntry.objects.filter(environment_id=scope.environment_id, action="delivery.warned")
    assert [(entry.after or {})["rule"] for entry in entries] == ["error_rate", "error_rate"]
    assert InboundEvent.objects.within(scope).filter(type="delivery.job_warned").count() == 2
    breaker.check(scope=scope, job=job, now=now)
    assert entries.count() == 2
    assert api().get(f"/api/v1/jobs/{job.public_id}").json()["warnings"] == job.warnings


def test_limits_of_the_environment_and_of_the_campaign_stop_earlier_or_later(
    scope: Scope,
    actor: Actor,
    now: datetime,
    make_job: Callable[..., SendJob],
    deliver: Callable[..., None],
    postbox: Postbox,
) -> None:
    strict = {"errorRate": {"warn": 2, "stop": 5}}
    rest: dict[str, Any] = {"domain_limits": {}, "connections": None, "version": 0, "now": now}
    defaults.change(scope=scope, actor=actor, stop_limits=strict, **rest)
    refuse_every(postbox, 8)
    stopped, patient = make_job(1200), make_job(1200, stop_limits={"errorRate": {"warn": 20, "stop": 50}})
    for job in (stopped, patient):
        deliver(job)
        job.refresh_from_db()
    assert (state(stopped), stopped.stop_code) == ("paused", "error_rate")
    assert "the stop limit is 5.0%" in stopped.stop_reason
    assert (state(patient), patient.warnings) == ("finished", [])

    with transaction.atomic():
        jobs.resume(scope=scope, job=stopped, now=now)
    stopped.refresh_from_db()
    assert stopped.warnings == [], "what was counted before is no reason any more"


def test_rest_shows_what_holds_and_changes_it_only_from_the_newest_version(api: Api, scope: Scope) -> None:
    client = api()
    fresh = client.get(WHERE).json()
    assert (fresh["etag"], fresh["stopLimits"], fresh["holds"]["bounceRate"]) == (None, {}, {"warn": 5, "stop": 10})
    body = {"stopLimits": {"bounceRate": {"warn": 2, "stop": 4}}, "domainLimits": {"GMail.com": 600}, "connections": 4}
    made = client.put(WHERE, body, format="json")
    assert made.status_code == 200, made.content
    assert (made["ETag"], made.json()["holds"]["bounceRate"]) == ('"1"', {"warn": 2.0, "stop": 4.0})
    assert made.json()["domainLimits"] == {"gmail.com": 600}
    assert client.put(WHERE, body, format="json").status_code == 412
    kept = client.put(WHERE, {"connections": None}, format="json", headers={"If-Match": '"1"'}).json()
    assert (kept["stopLimits"], kept["domainLimits"], kept["connections"]) == ({}, {}, None)
    done = AuditEntry.objects.filter(action="sending.defaults_changed")
    assert [entry.outcome for entry in done.order_by("sequence")] == ["done", "refused", "done"]
    assert (done.order_by("sequence")[0].after or {})["domainLimits"] == "gmail.com 600"
    reader = api(permissions=["console.read"])
    assert reader.get(WHERE).status_code == 200
    assert reader.put(WHERE, body, format="json").status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"stopLimits": {"bounceRate": {"warn": 9, "stop": 4}}}, "#/stopLimits/bounceRate/warn"),
        ({"domainLimits": {"nowhere": 5}}, "#/domainLimits"),
        ({"connections": 0}, "#/connections"),
        ({"stopLimits": {"luck": {"warn": 1, "stop": 4}}}, "#/stopLimits/luck"),
        ({"stopLimits": {"bounceRate": {"warn": 9}}}, "#/stopLimits/bounceRate/stop"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_place(
    api: Api, scope: Scope, body: dict[str, Any], pointer: str
) -> None:
    answer = api().put(WHERE, body, format="json")
    assert answer.status_code == 422, answer.content
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert not SendingDefaults.objects.within(scope).exists()


def test_the_page_shows_and_changes_them(world: Any, scope: Scope, browser_of: Callable[..., Client]) -> None:
    alice, where = browser_of(world.alice), f"/{scope.path}/settings/sending/"
    alice.get(where)
    with CaptureQueriesContext(connection) as asked:
        page = alice.get(where).content.decode()
    assert len(asked) <= 12
    assert "Usually 0.3%." in page and "Save sending" in page
    values = {"version": 0, "bounceRate_warn": "2", "bounceRate_stop": "1", "domain_limits": "gmail.com 600"}
    wrong = alice.post(where, values)
    assert (wrong.status_code, "A warning comes before the stop" in wrong.content.decode()) == (422, True)
    assert alice.post(where, values | {"bounceRate_stop": "4", "connections": "3"}).status_code == 302
    found = defaults.of(scope=scope)
    assert (found.stop_limits, found.domain_limits) == ({"bounceRate": {"warn": 2.0, "stop": 4.0}}, {"gmail.com": 600})
    assert found.connections == 3
    stale = alice.post(where, values | {"bounceRate_stop": "4"})
    assert (stale.status_code, "changed since you read them" in stale.content.decode()) == (422, True)
    bob = browser_of(world.bob)
    shown = bob.get(where).content.decode()
    assert "Save sending" not in shown and "warns at 2.0%, stops at 4.0%" in shown and "600 a minute" in shown
    assert bob.post(where, values).status_code == 403
    assert browser_of(world.charlie).get(where).status_code == 404


def test_the_page_of_the_other_environment_is_not_changed(world: Any, api: Api, scope: Scope) -> None:
    api().put(WHERE, {"connections": 2}, format="json")
    assert api(world.sandbox).get(WHERE).json()["connections"] is None
