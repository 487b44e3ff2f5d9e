"""Whatever an operator writes: a clear error or a message, in seconds and a bounded memory. Never a stuck worker."""

import contextlib
import resource
import time
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liquid.exceptions import LiquidError

from audiences import people
from delivery.content import brief, effort, linting, liquids, rendering
from delivery.content.rendering import Content, RenderFailed
from lamba_campaigns.lib.errors import Invalid

SECONDS_MAX = 10  # of processor time on a busy machine; most take a tenth of a second
MEMORY_MAX_KB = 150_000
KNOWN = people.FIELD_NAMES
ENDLESS = "{% for i in (1..100000000) %}x{% endfor %}"
EMPTY = "{% if false %}{% endif %}"
GROWING = "{% assign x = 'aaaaaaaaaa' %}" + "{% assign x = x | append: x %}" * 40 + "{{ x }}"

REFUSED: Mapping[str, tuple[str, str]] = {
    "an endless loop": (ENDLESS, "longer than a loop may be"),
    "an endless loop backwards": ("{% for i in (1..999999999999) reversed %}x{% endfor %}", "longer than a loop"),
    "a range in a condition": ("{% if (1..9999999999) contains 'x' %}y{% endif %}", "longer than a loop"),
    "a range in a filter": ("{{ (1..9999999999) | join: ',' }}", "longer than a loop"),
    "loops in loops": ("{% for i in (1..90) %}{% for j in (1..90) %}x{% endfor %}{% endfor %}", "oop iteration limit"),
    "many loops": ("{% for i in (1..500) %}{% endfor %}" * 2_000, "too much work"),
    "much in a loop": ("{% for i in (1..500) %}" + EMPTY * 3_000 + "{% endfor %}", "too much work"),
    "many filters": ("{% assign x = 'a' %}" + "{% assign x = x | append: x %}" * 12
                     + "{{ x " + "| upcase | downcase " * 4_000 + "}}", "too much work"),
    "a value that doubles": (GROWING, "limit reached"),
    "ten megabytes": ("{% for i in (1..500) %}" + "x" * 20_000 + "{% endfor %}", "too much work"),
    "more than a message": ("{% for i in (1..25) %}" + "x" * 9_000 + "{% endfor %}", "utput stream limit"),
    "a wide date": ("{{ '2020-01-01' | date: '%1000000000d' }}", "takes a format"),
    "the day of sending": ("{{ 'now' | date: '%Y' }}", "must read the same later"),
    "a huge number": ("{{ '" + "9" * 5_000 + "' | plus: 1 }}", "conversion limit"),
    "attributes": ("{{ person.name.__class__ }}", "not a field of a person"),
    "attributes by brackets": ("{{ person['__class__']['__mro__'] }}", "not a field of a person"),
    "deep blocks": ("{% if person.name %}" * 900 + "{% endif %}" * 900, "nesting limit"),
    "deep brackets": ("{{ person" + "[person" * 5_000 + "]" * 5_000 + " }}", "parsing error"),
    "a tag of files": ("{% include 'settings.py' %}", "unexpected tag"),
    "tags without end": ("{% raw %}" * 10_000, "never closed"),
    "blanks before an end": (("{%" + " " * 21 + "raw %}") * 3_000, "never closed"),
    "signs of Markdown": ("<img" * 25_000, "signs of Markdown"),
    "tags to strip": ("{% capture x %}" + "a<script" * 1_200 + "{% endcapture %}{{ x | strip_html }}", "too large"),
}  # fmt: skip
SLOW_FOR_PATTERNS = {
    "blanks": "a" + " " * 99_000 + "b",
    "letters": "a" * 99_000,
    "tokens": "eyJ-" * 24_000,
    "an address of blanks": "[a](x" + " " * 90_000 + "y)",
    "an address of at signs": "[a](mailto:" + "@" * 50_000 + " x)",
    "an address of letters": "[a](https://" + "x" * 90_000 + " y)",
    "a condition of blanks": "{% if a" + " " * 90_000 + "! %}{% endif %}",
    "code of blanks": "```\n" + " " * 90_000 + "x\n```",
    "brackets": "[" * 9_900,
    "stars": "*a " * 9_900,
    "images": "<img " * 9_900,
    "links": "<a href " * 9_900,
    "quotes": ">" * 90_000,
    "attributes": "<a " + " x" * 30_000 + ">",
}


def content(body: str) -> Content:
    return Content("Hello", "", body, "Acme", "hello@acme.example")


@pytest.fixture(autouse=True)
def bounded():  # type: ignore[no-untyped-def]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS_MAX
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_MAX_KB


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED)
def test_it_is_an_error_of_the_template_that_says_what_and_where(body: str, words: str) -> None:
    errors = [each for each in linting.lint(content(body), KNOWN) if each.severity == "error"]

    assert errors and words in errors[0].detail and errors[0].pointer == "#/body"


@pytest.mark.parametrize("body", SLOW_FOR_PATTERNS.values(), ids=SLOW_FOR_PATTERNS)
def test_no_pattern_of_ours_takes_longer_than_the_text_is_long(body: str) -> None:
    linting.lint(content(body), KNOWN)
    with contextlib.suppress(Invalid, RenderFailed):
        rendering.compile(content(body)).render({"person": {"name": "Ada"}}, unsubscribe_url="https://x.example/u")


@pytest.mark.parametrize("body", [ENDLESS, GROWING, "{{ 'now' | date: '%Y' }}"], ids=["endless", "growing", "now"])
def test_every_channel_fails_one_message_and_says_why(body: str) -> None:
    for compiled in (rendering.compile(content(body)), brief.compile(content(body))):
        with pytest.raises(RenderFailed, match=r"loop|limit|must read the same"):
            compiled.render({"person": {"name": "Ada"}}, unsubscribe_url="https://x.example/u")


def test_an_error_names_its_line_and_what_to_do() -> None:
    (found,) = linting.lint(content(f"Hi\n\nThere {ENDLESS}"), KNOWN)

    assert (found.code, found.line, found.severity) == ("cannot_be_filled", 3, "error")
    assert found.placed == (
        "Line 3: A range is longer than a loop may be. A loop may run 500 times. "
        "Give it an end: {% for each in list limit: 50 %}."
    )


@pytest.mark.parametrize("filters", ["map: '__class__'", "where: '__class__'", "sort: '__doc__'", "sum: '__len__'"])
def test_filters_do_not_reach_attributes(filters: str) -> None:
    try:
        shown = liquids.plain.from_string(f"{{{{ x | {filters} | join }}}}").render(x=["Ada", {"a": 1}])
    except LiquidError:
        return
    assert "class" not in shown and "method" not in shown and "str" not in shown


def test_a_message_fails_for_the_person_whose_data_break_it() -> None:
    body = "{% for each in person.traits.list %}{{ each }}{% endfor %}"

    assert linting.lint(content(body), KNOWN) == []
    wrong = linting.lint(content(body), KNOWN, {"person": {"traits": {"list": ["x"] * 600}}})
    assert [each.code for each in wrong] == ["cannot_be_filled"]


def test_a_usual_message_is_far_from_every_limit() -> None:
    row = "| {{ seat.name | upcase | escape }} | {{ seat.price | round: 2 }} |\n"
    template = liquids.escaping.from_string("{% for seat in person.traits.seats %}" + row + "{% endfor %}")
    context = effort.MeasuredContext(
        template, globals={"person": {"traits": {"seats": [{"name": "A", "price": 2}] * 100}}}
    )
    template.render_with_context(context, template._get_buffer())

    assert 0 < context.steps < effort.STEPS_MAX / 20


def test_a_date_that_is_not_whole_stays_as_it_is() -> None:
    dates = {"a": "2026-03-05", "b": "5 March 2026", "c": "10:30", "d": 86_400}
    shown = liquids.plain.from_string(", ".join(f"{{{{ {name} | date: '%d %B %Y' }}}}" for name in dates))

    assert shown.render(dates) == "05 March 2026, 05 March 2026, 10:30, 02 January 1970"


@given(
    name=st.sampled_from(sorted(liquids.plain.filters)),
    values=st.lists(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=3)),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_no_filter_fails_as_a_fault_of_ours(name: str, values: list[object]) -> None:
    given = {f"v{number}": value for number, value in enumerate(values)}
    rest = ", ".join(list(given)[1:])
    for environment in (liquids.plain, liquids.escaping):
        template = environment.from_string(f"{{{{ v0 | {name}{': ' + rest if rest else ''} }}}}")
        with contextlib.suppress(LiquidError):
            template.render(given)
