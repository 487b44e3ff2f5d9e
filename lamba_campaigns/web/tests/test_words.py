"""The words of templates: numbers, times, badges, addresses; everything that came from outside is escaped."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web import states
from lamba_campaigns.web.problems import remedies
from lamba_campaigns.web.templatetags import console


def _render(text: str, **context: Any) -> str:
    return Template(text).render(Context(context))


@pytest.fixture
def berlin() -> Iterator[None]:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        yield


@pytest.mark.parametrize(("value", "text"), [(12480, "12,480"), (0, "0"), (None, "\u2013"), ("", "\u2013")])
def test_num(value: object, text: str) -> None:
    assert console.num(value) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 2, "50%"),
        (235, 30304, "0.8%"),
        (1, 100000, "<0.1%"),
        (99999, 100000, ">99.9%"),
        (5, 5, "100%"),
        (0, 0, "0%"),
        (None, 9, "0%"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: Any, whole: Any, text: str) -> None:
    assert console.pct(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "just now"), (240, "4 min ago"), (7300, "2 h ago"), (3 * 86400 + 5, "3 d ago"), (-50_500, "in 14 h")],
)
def test_ago(seconds: int, text: str) -> None:
    assert console.ago(timezone.now() - timedelta(seconds=seconds)) == text


@pytest.mark.usefixtures("berlin")
def test_a_time_is_shown_in_the_readers_zone_with_utc_in_its_title() -> None:
    moment = datetime(2020, 3, 29, 0, 59, 30, tzinfo=UTC)
    text = _render(
        "{% when moment %}|{% when moment 'full' %}|{% when moment 'clock' %}|{% when none %}", moment=moment
    )
    first, full, clock, nothing = text.split("|")
    assert first == '<time datetime="2020-03-29T00:59:30Z" title="2020-03-29 00:59:30 UTC">29 Mar 2020, 01:59</time>'
    assert "29 Mar 2020, 01:59 Europe/Berlin" in full
    assert ">01:59:30<" in clock
    assert "\u2013" in nothing


def test_what_comes_from_outside_is_escaped() -> None:
    evil = "<img src=x onerror=alert(1)>"
    for text in (
        "{% badge 'draft' evil %}",
        "{% pill 'ok' evil %}",
        "{% crumb evil evil %}",
        "{% meter 1 2 'ok' evil %}",
        "{% opens evil %}",
    ):
        assert "<img" not in _render(text, evil=evil), text
    assert "<img" not in _render("{% stacked parts %}", parts=[(evil, "ok", 1)])


def test_a_badge_has_a_word_an_icon_and_a_tone() -> None:
    text = _render("{% badge 'paused' %}")
    assert 'data-tone="warn"' in text
    assert "<svg" in text
    assert text.endswith("Paused</span>")


def test_an_unknown_state_shows_its_own_name() -> None:
    assert "Half done" in _render("{% badge 'half_done' %}")


def test_one_word_keeps_one_look() -> None:
    states.register_states({"draft": ("Draft", "neutral", "pencil-line")})
    with pytest.raises(AssertionError):
        states.register_states({"draft": ("Draft", "bad", "x")})


def test_a_query_string_is_changed_not_replaced() -> None:
    request = RequestFactory().get("/?state=draft&q=a%20b&cursor=zz")
    text = _render("{% query state='active' cursor='' %}", request=request)
    assert text == "?state=active&amp;q=a+b"


@pytest.mark.parametrize(
    ("name", "text"), [("Lena Fischer", "LF"), ("oskar.kim@example.com", "OK"), ("x", "X"), ("", "?")]
)
def test_initials(name: str, text: str) -> None:
    assert console.initials(name) == text


def test_the_first_remedy_with_an_address_is_the_primary_one() -> None:
    error = DomainError(
        "No.",
        remedies=[
            {"kind": "reduce_audience", "max": 500},
            {"kind": "upgrade", "plan": "growth", "url": "/plan"},
            {"kind": "add_on", "sku": "email_10k", "url": "/add"},
        ],
    )
    found = [(each.label, each.primary) for each in remedies(error)]
    assert found == [("Reduce the audience to 500", False), ("Upgrade to Growth", True), ("Add email_10k", False)]
