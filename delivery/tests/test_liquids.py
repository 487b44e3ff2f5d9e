"""What an operator can write costs a bounded time and a bounded memory, at compiling and at rendering."""

import time

import pytest
from liquid.exceptions import LiquidError, LiquidSyntaxError

from delivery.content import liquids

SECONDS_MAX = 2
UNCLOSED = {
    "{{": "{{" * 50_000,
    "{%": "{% " * 33_000,
    "raw": "{% raw %}" * 11_000,
    "comment": "{% comment %}" * 7_000,
}
GROWING = (
    "{{ 'a' " + "| replace: '', 'bbbbbbbbbb' " * 9 + "}}",
    "{{ 'a' | replace: 'a', '" + "x" * 60_000 + "' | replace: 'x', '" + "y" * 30_000 + "' }}",
    "{{ '" + "a" * 5_000 + "' | split: '' | join: '" + "b" * 90_000 + "' }}",
    "{% assign x = 'a,b' | split: ',' %}" + "{% assign x = x | concat: x %}" * 30 + "{{ x | size }}",
    "{{ 9 " + "| times: 99999999" * 3_000 + " }}",
)


@pytest.mark.parametrize(("mark", "source"), UNCLOSED.items(), ids=UNCLOSED)
def test_a_mark_that_is_never_closed_is_refused_at_once(mark: str, source: str) -> None:
    began = time.monotonic()
    with pytest.raises(LiquidSyntaxError, match="never closed"):
        liquids.plain.from_string(source)
    assert liquids.unclosed(source) == mark and time.monotonic() - began < SECONDS_MAX


@pytest.mark.parametrize(
    "source",
    ["{{ a }} and }} {%- if a -%}b{%- endif -%}", "{%- raw -%}{{ {% {%- endraw -%}", "{%comment%}{{{%endcomment%}"],
)
def test_marks_that_close_are_left_alone(source: str) -> None:
    assert liquids.unclosed(source) == ""
    assert liquids.plain.from_string(source)


@pytest.mark.parametrize("environment", [liquids.plain, liquids.escaping], ids=["plain", "escaping"])
@pytest.mark.parametrize("source", GROWING, ids=["replace", "one replace", "join", "concat", "times"])
def test_filters_can_not_grow_a_value_without_bound(environment: liquids.CampaignLiquid, source: str) -> None:
    began = time.monotonic()
    with pytest.raises(LiquidError, match=r"too large|limit reached"):
        environment.from_string(source).render()
    assert time.monotonic() - began < SECONDS_MAX


def test_filters_of_a_usual_size_work_as_before() -> None:
    template = (
        "{{ 'a-b' | replace: '-', '+' }} {{ 'a,b' | split: ',' | join }} {{ 7 | times: 6 }} {{ 'x' | default: 'y' }}"
    )
    assert liquids.plain.from_string(template).render() == "a+b a b 42 x"
