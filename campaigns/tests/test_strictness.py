"""What a draft can't keep is refused at its place: nothing is dropped with a 201."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from campaigns.models import Campaign

Api = Callable[..., APIClient]
WHERE = "/api/v1/campaigns"
CLOSED = {"opens": "09:00", "closes": "09:00"}


def _rules(**window: Any) -> dict[str, Any]:
    return {"sendingRules": {"window": window}}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (_rules(**CLOSED), "#/sendingRules/window/closes"),
        (_rules(**CLOSED, days=[1, 2]), "#/sendingRules/window/closes"),
        (_rules(opens="00:00", closes="00:00"), "#/sendingRules/window/closes"),
        (_rules(opens="09:00", closes="17:00", days=["1"]), "#/sendingRules/window/days/0"),
        ({"templateVersion": 1}, "#/templateVersion"),
        ({"templateId": None, "templateVersion": 1}, "#/templateVersion"),
        ({"holdOutPercent": 0.001}, "#/holdOutPercent"),
        ({"holdOutPercent": 12.345}, "#/holdOutPercent"),
        ({"holdOutPercent": "12"}, "#/holdOutPercent"),
        ({"ratePerMinute": "600"}, "#/ratePerMinute"),
        ({"ratePerMinute": True}, "#/ratePerMinute"),
        ({"trackOpens": "yes"}, "#/trackOpens"),
        ({"trackOpens": 1}, "#/trackOpens"),
        ({"frequencyCap": {"messages": "2", "days": 7}}, "#/frequencyCap/messages"),
        ({"sendingRules": {"domainLimits": {"gmail.com": "60"}}}, "#/sendingRules/domainLimits/gmail.com"),
        ({"scheduledAt": (datetime.now(UTC) + timedelta(days=400)).isoformat()}, "#/scheduledAt"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_what_can_not_be_kept_is_refused_where_it_stands(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = api().post(WHERE, {"name": "Spring"} | body, format="json")
    assert answer.status_code == 422, answer.content
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert not Campaign.objects.across_environments("nothing was made").exists()


@pytest.mark.parametrize("percent", [0.01, 0.07, 0.29, 12.34, 33.33, 57, 90])
def test_two_decimals_are_kept_as_they_are(api: Api, percent: float) -> None:
    made = api().post(WHERE, {"name": "Spring", "holdOutPercent": percent}, format="json")
    assert (made.status_code, made.json()["holdOutPercent"]) == (201, percent)


def test_days_without_hours_are_kept(api: Api) -> None:
    given = {"opens": "00:00", "closes": "00:00", "days": [6, 7]}
    made = api().post(WHERE, {"name": "Spring"} | _rules(**given), format="json")
    assert (made.status_code, made.json()["sendingRules"]["window"]) == (201, given)


def test_an_action_without_fields_says_so(api: Api) -> None:
    client = api()
    made = client.post(WHERE, {"name": "Spring"}, format="json").json()
    answer = client.post(f"{WHERE}/{made['id']}/copy", {"a": 1}, format="json")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "#/a", "code": "unknown_field", "detail": "Unknown field. No fields are accepted here."}
    ]
