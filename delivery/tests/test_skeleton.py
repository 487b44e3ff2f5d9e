"""The skeleton against rendering whole: the standard library's parser reads the same text out of both."""

import email
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from delivery.content import composing, mime, rendering, skeleton
from delivery.content.composing import Composer
from delivery.content.rendering import Content
from lamba_campaigns.lib.errors import Invalid

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
LINK = "https://mail.acme.example/u/" + "b" * 26
# everything that a text column of Postgres can hold, and what could do harm more often than chance would have it
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=120)
HOSTILE = st.sampled_from(
    ["", " ", "\t", ".", "..", "\r\n", "\n.\r\n", "a\r\nBcc: x@y.example", "=", "=20", "=\r\n", "x" * 75, "x" * 76,
     "ü" * 90, "--=_lamba_part", "<script>&\"'", "=?utf-8?b?eA==?=", "javascript:alert(1)", "https://a.example/?b=c&d=e",
     "a ", " a", "\u2028", "\x85", "0", "false"]
)  # fmt: skip
VALUE: st.SearchStrategy[Any] = st.one_of(TEXT, HOSTILE, st.none(), st.integers(-5, 10**6), st.booleans())
PERSON = st.fixed_dictionaries(
    {"given_name": VALUE, "name": VALUE, "country": VALUE},
    optional={"traits": st.dictionaries(st.sampled_from(["company", "site"]), VALUE)},
)
# Markdown in the middle of which the marks stand: lines of nothing else, beginnings, ends, attributes, long lines
PIECES = st.sampled_from(
    ["{{ person.given_name }}", '{{ person.name | default: "you & \'me\'" }}', "{{ person.traits.company }}",
     '{{ person.traits.site | default: "https://a.example" }}', "[here]({{ person.traits.site }})", "\n\n", "\n", " ",
     "Grüße", ".", "\n\n.\n\n", "> ", "- ", "x" * 90, " word" * 20, "**", "\n\n## ", "&amp;", "<b>",
     "{{ unsubscribe_url }}", "![a]({{ person.country }})", "{% comment %}x{% endcomment %}",
     "| a | b |\n|---|---|\n| 1 | {{ person.name }} |\n"]
)  # fmt: skip
BODY = st.lists(PIECES, min_size=1, max_size=14).map("".join)


def content(body: str, subject: str = "Hi {{ person.given_name }}") -> Content:
    return Content(subject, "News for {{ person.name }}", body, "Acme", "hello@acme.example", "reply@acme.example")


def parts(raw: bytes) -> tuple[str, str, str]:
    message = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    text, html = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    return str(message["Subject"]), text, html


def sent(composer: Composer, person: Any) -> bytes:
    return composer.envelope(
        position=1,
        recipient="u1@example.com",
        fields=person,
        token="a" * 26,
        unsubscribe_url=LINK,
        date=composer.dated(NOW),
    ).data


def whole(made: Content, person: Any) -> tuple[str, str, str]:
    """What a reader gets when Liquid and the encoder work on the whole text."""
    rendered = rendering.compile(made).render({"person": person}, unsubscribe_url=LINK)
    text, html = (mime._LINE_ENDS.sub("\n", each) for each in (rendered.text, rendered.html))
    return rendered.subject, text, html


@settings(max_examples=150, deadline=None)
@given(body=BODY, person=PERSON)
@example(body="{{ person.name }}\n\nHi", person={"given_name": "", "name": "", "country": ""})
@example(body="a\n\n{{ person.name }}\n\nb", person={"given_name": "x", "name": "", "country": ""})
@example(body="{{ person.name }} ends", person={"given_name": "", "name": "", "country": ""})
@example(body="{{ person.name }}{{ person.name }}", person={"given_name": ".", "name": "..", "country": ""})
@example(body="x" * 74 + "{{ person.name }}", person={"given_name": "", "name": "y" * 76, "country": ""})
def test_both_ways_read_back_the_same(body: str, person: dict[str, Any]) -> None:
    made = content(body)
    try:
        expected = whole(made, person)
    except rendering.RenderFailed:
        with pytest.raises(rendering.RenderFailed):
            sent(Composer(content=made, feedback_id="x"), person)
        return
    except Invalid:
        return
    raw = sent(Composer(content=made, feedback_id="x"), person)

    subject, text, html = parts(raw)
    assert (subject, text.rstrip("\n"), html.rstrip("\n")) == (
        expected[0],
        expected[1].rstrip("\n"),
        expected[2].rstrip("\n"),
    )
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert raw.replace(b"\r\n", b"").count(b"\r") == raw.replace(b"\r\n", b"").count(b"\n") == 0


def test_a_usual_template_and_person_never_take_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    made = content('Hi {{ person.given_name | default: "there" }}, [look](https://acme.example).')
    composer = Composer(content=made, feedback_id="x")
    monkeypatch.setattr(rendering.Compiled, "render", None)
    for person in ({"given_name": "Ada"}, {"given_name": ""}, {"given_name": "Zoë O'Hara"}, {"given_name": None}):
        assert b"\r\n\r\n" in sent(composer, person | {"name": "x"})


@pytest.mark.parametrize(
    "body",
    [
        "{% if person.name %}Hi{% endif %}",
        "{{ person.name | upcase }}",
        "{{ person.name | default: person.country }}",
        '{{ person.name | default: "x", allow_false: true }}',
        "{{ person.name.size }}",
        "{{ person['name'][0] }}",
        '{{ "literal" }}',
        "{{ person.traits.a.b }}",
    ],
)
def test_logic_is_rendered_whole(body: str) -> None:
    compiled = rendering.compile(content(body))
    assert skeleton.build(subject=compiled.subject, html=compiled.html, text=compiled.text) is None


def test_the_same_person_and_moment_give_the_same_bytes() -> None:
    made = content("Hi {{ person.name }}")
    first = sent(Composer(content=made, feedback_id="x"), {"given_name": "A", "name": "B"})
    composing._skeleton.cache_clear()
    assert first == sent(Composer(content=made, feedback_id="x"), {"given_name": "A", "name": "B"})
