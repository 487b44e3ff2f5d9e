"""REST of limits, plan and add-ons."""

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import AuditEntry
from conftest import World
from limits.models import Subscription, WorkspaceAddOn
from limits.tests.conftest import Reserve

pytestmark = pytest.mark.django_db
Api = Callable[..., Any]


def test_limits_say_what_is_used_reserved_and_left(api: Api, growth: Subscription, reserve: Reserve) -> None:
    # the request's clock is the real one: gauges do not depend on it
    reserve("template:tpl_1", templates=3)
    answer = api().get("/api/v1/limits").json()

    assert (answer["plan"], answer["planName"], answer["channels"]) == (
        "growth",
        "Growth",
        ["email", "in_app", "webhook"],
    )
    templates = next(line for line in answer["limits"] if line["limit"] == "templates")
    assert templates == {
        "limit": "templates",
        "label": "Templates",
        "kind": "gauge",
        "unit": "template",
        "used": 3,
        "reserved": 0,
        "left": 22,
        "allowed": 25,
        "included": 25,
        "addOns": 0,
        "resetsAt": None,
    }


def test_a_sandbox_counts_by_itself(api: Api, growth: Subscription, reserve: Reserve, world: World) -> None:
    reserve("template:tpl_1", templates=3)
    lines = api(world.sandbox).get("/api/v1/limits").json()["limits"]
    assert next(line for line in lines if line["limit"] == "templates")["used"] == 0


def test_the_plan_can_be_read_and_changed(api: Api, world: World) -> None:
    before = api().get("/api/v1/plan").json()
    assert before["plan"]["id"] == "free" and [plan["id"] for plan in before["plans"]] == [
        "free",
        "starter",
        "growth",
        "scale",
    ]
    assert "Demo figures" in before["source"]

    after = api().patch("/api/v1/plan", {"plan": "growth"}, format="json").json()
    assert (after["plan"]["id"], after["coming"]) == ("growth", None)
    down = api().patch("/api/v1/plan", {"plan": "starter"}, format="json").json()
    coming = down["coming"]
    assert (down["plan"]["id"], coming["plan"], coming["planName"]) == ("growth", "starter", "Starter")
    assert coming["message"].startswith("The workspace stays on Growth until 1 ")
    assert api().patch(coming["cancel"]["path"], coming["cancel"]["body"], format="json").json()["coming"] is None
    assert api(world.stranger).get("/api/v1/plan").json()["plan"]["id"] == "free"


def test_money_needs_billing_manage(api: Api, growth: Subscription) -> None:
    reader = api(permissions=["limits.read"])
    assert reader.patch("/api/v1/plan", {"plan": "scale"}, format="json").status_code == 403
    assert reader.post("/api/v1/add-ons", {"sku": "email_10k"}, format="json").status_code == 403
    assert reader.delete("/api/v1/add-ons/email_10k").status_code == 403
    assert api(permissions=["console.read"]).get("/api/v1/limits").status_code == 403
    assert Subscription.objects.count() == 1 and not WorkspaceAddOn.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"), [({"plan": "green"}, "#/plan"), ({}, "#/plan"), ({"plan": "scale", "now": True}, "#/now")]
)
def test_a_wrong_plan_is_named_and_changes_nothing(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = api().patch("/api/v1/plan", body, format="json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == pointer
    assert not Subscription.objects.exists()


def test_a_refused_change_is_in_the_trail(api: Api, growth: Subscription) -> None:
    assert api().patch("/api/v1/plan", {"plan": "growth"}, format="json").status_code == 409
    assert AuditEntry.objects.get(action="plan.changed").outcome == "refused"


def test_add_ons_are_bought_once_per_idempotency_key_and_end(api: Api, growth: Subscription) -> None:
    client = api()
    for _ in range(2):
        answer = client.post(
            "/api/v1/add-ons", {"sku": "email_50k", "quantity": 2}, format="json", headers={"Idempotency-Key": "a"}
        )
        assert answer.status_code == 201 and answer.json()["units"] == 2
    items = {item["sku"]: item for item in client.get("/api/v1/add-ons").json()["items"]}
    assert items["email_50k"]["units"] == 2 and items["sms"]["available"] is True

    assert client.delete("/api/v1/add-ons/email_50k").json()["units"] == 2, "until the period ends"
    assert client.delete("/api/v1/add-ons/email_50k").status_code == 409
    assert client.delete("/api/v1/add-ons/nothing").status_code == 409
