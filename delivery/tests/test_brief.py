"""In-app, webhook and SMS speak the reader's language too, by the same fallback as mail."""

import json
from typing import Any

import pytest

from delivery.content import brief
from delivery.content.rendering import Content, RenderFailed

NAME = '{{ person.given_name | default: "you" }}'
VARIANTS = {
    "de": {
        "subject": f"Hallo {NAME}",
        "preheader": "",
        "body": f"Hallo **{NAME}** {{{{ person.traits.seat }}}}",
        "text": "",
    },
    "de-CH": {"subject": f"Grüezi {NAME}", "preheader": "", "body": f"Grüezi **{NAME}**", "text": ""},
}
MANY = Content(f"Hi {NAME}", "", f"Hi **{NAME}**", "Acme", "a@acme.example", variants=json.dumps(VARIANTS))
LINK = "https://x.example/u"


@pytest.mark.parametrize(
    ("locale", "title", "html"),
    [
        ("de-CH", "Grüezi Ada", "<p>Grüezi <strong>Ada</strong></p>"),
        ("de_AT", "Hallo Ada", "<p>Hallo <strong>Ada</strong> </p>"),
        ("fr", "Hi Ada", "<p>Hi <strong>Ada</strong></p>"),
        (None, "Hi Ada", "<p>Hi <strong>Ada</strong></p>"),
    ],
)
def test_a_note_is_in_the_language_of_its_reader(locale: Any, title: str, html: str) -> None:
    note = brief.compile(MANY).render({"person": {"given_name": "Ada", "locale": locale}}, unsubscribe_url=LINK)

    assert (note.title, note.html) == (title, html) and note.text.startswith(title.replace(" Ada", ""))


def test_a_note_without_languages_asks_for_no_locale() -> None:
    note = brief.compile(Content("Hi", "", "Text", "Acme", "a@acme.example")).render(
        {"person": {}}, unsubscribe_url=LINK
    )

    assert (note.title, note.text) == ("Hi", "Text")


def test_a_language_that_can_not_be_read_fails_the_job_at_once() -> None:
    broken = Content("Hi", "", "x", "Acme", "a@acme.example", variants=json.dumps({"de": {"body": "{% if %}"}}))
    with pytest.raises(RenderFailed):
        brief.compile(broken)
