"""Each finding stands where an author finds it, and what is guarded is not complained about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences import people
from delivery.content import guards, linting
from delivery.content.rendering import Content

KNOWN = people.FIELD_NAMES


def content(body: str, subject: str = "Hello") -> Content:
    return Content(subject, "", body, "Acme", "hello@acme.example")


def found(body: str, subject: str = "Hello") -> list[tuple[str, str, int, int]]:
    return [(each.pointer, each.code, each.line, each.column) for each in linting.lint(content(body, subject), KNOWN)]


@pytest.mark.parametrize(
    ("body", "code", "line", "column"),
    [
        ("Hi\n\nDear {{ person.shoe }},", "unknown_variable", 3, 6),
        ("Hi {{ person.name }}", "no_fallback", 1, 4),
        ("Hi\n{{ person.name | shout }}", "unknown_filter", 2, 16),
        ("Hi\n\n{{ person.name", "liquid_syntax", 3, 1),
        ("One\n{% if person.name %}two", "liquid_syntax", 2, 1),
        ("One\n\n{% include 'x' %}", "liquid_syntax", 3, 4),
        ("One\n\nkey: ghp_abcdefghijklmnopqrstuvwxyz0123456789", "secret_detected", 3, 6),
        ("One\n![](https://acme.example/a.png)", "image_without_alt", 2, 1),
        ("A [link](www.acme.example)", "broken_link", 1, 3),
        ('A <a href="www.acme.example">link</a>', "broken_link", 1, 3),
        ("One\n<mj-image src='https://acme.example/a.png'>", "image_without_alt", 2, 1),
        ("A [link](https//acme.example)", "broken_link", 1, 3),
        ("A [link](javascript:alert(1))", "broken_link", 1, 3),
        ("A [link]()", "broken_link", 1, 3),
        ("A [link](https://acme.example and more", "broken_link", 1, 3),
    ],
)
def test_a_finding_names_its_line_and_column(body: str, code: str, line: int, column: int) -> None:
    assert ("#/body", code, line, column) in found(body)


@pytest.mark.parametrize(
    "body",
    [
        '[a](https://acme.example/x?y=1#z "Title") [b](mailto:a@b.example) [c](tel:+49301) [d](button:https://a.example)',
        '[a]({{ person.traits.link | default: "https://a.example" }}) [b](https://b.example/{{ person.email }})',
        "{% if person.given_name %}Hi {{ person.given_name }}{% endif %}",
        "{% if person.given_name != blank and person.name %}{{ person.given_name }} {{ person.name }}{% endif %}",
        "{% unless person.name == blank %}{{ person.name }}{% endunless %}",
        "{% if person.name == blank %}you{% else %}{{ person.name }}{% endif %}",
        "{% unless person.name %}you{% else %}{{ person.name }}{% endunless %}",
        "{% if person.plan %}{% for seat in person.traits.seats %}{{ seat }} {{ person.plan }}{% endfor %}{% endif %}",
        '{{ person.name | default: "there" }} {{ person.email }} {{ unsubscribe_url }}',
    ],
)
def test_what_is_in_order_has_no_findings(body: str) -> None:
    assert [each for each in found(body) if each[1] in ("no_fallback", "broken_link")] == []


@pytest.mark.parametrize(
    "body",
    [
        "{% if person.name %}x{% else %}{{ person.name }}{% endif %}",
        "{% if person.name or person.plan %}{{ person.name }}{% endif %}",
        "{% if person.name %}x{% endif %}{{ person.name }}",
        "{% if person.name %}x{% elsif person.plan %}{{ person.name }}{% endif %}",
        "{% if person.name == blank %}{{ person.name }}{% endif %}",
        "{% if person.name == blank and person.plan %}x{% else %}{{ person.name }}{% endif %}",
    ],
)
def test_a_guard_of_something_else_guards_nothing(body: str) -> None:
    assert ("#/body", "no_fallback") in [each[:2] for each in found(body)]


def test_a_large_message_and_a_subject_without_fallback_are_doubtful() -> None:
    problems = linting.lint(content("word " * 19_000, "Hi {{ person.name }}"), KNOWN)

    assert [(each.code, each.severity) for each in problems] == [("no_fallback", "warning")]
    assert problems[0].placed.startswith("{{ person.name }} may be empty")
    large = linting.lint(content("word " * 19_990), KNOWN)
    assert [each.code for each in large] == ["too_large"]


@given(st.text(alphabet="{}%| personame.ifels\n[]()", max_size=120))
def test_any_text_gets_findings_in_order_and_inside_of_it(body: str) -> None:
    lines = body.split("\n")
    problems = [each for each in linting.lint(content(body), KNOWN) if each.pointer == "#/body" and each.line]

    assert problems == sorted(problems, key=lambda each: (each.line, each.column))
    for each in problems:
        assert each.line <= len(lines) and each.column <= len(lines[each.line - 1]) + 1
    assert -1 <= guards.unbalanced_at(body) <= len(body)
