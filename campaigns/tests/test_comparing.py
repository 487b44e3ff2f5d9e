"""Every line of both versions stands in the comparison, in order, beside its counterpart."""

from collections.abc import Callable
from typing import Any

from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from campaigns import comparing, templates
from campaigns.models import TemplateVersion
from campaigns.templates import Message
from campaigns.tests.conftest import MakeTemplate
from conftest import World
from projects.scoping import Actor, Scope

texts = st.lists(st.text(alphabet="ab \u00e4{}", max_size=12), max_size=8).map("\n".join)


def version(number: int, body: str, **more: Any) -> TemplateVersion:
    return TemplateVersion(number=number, subject="Hi", preheader="", body=body, **more)


@given(left=texts, right=texts)
def test_nothing_is_lost_on_either_side(left: str, right: str) -> None:
    found = comparing.compare(version(1, left), version(2, right))

    assert [part.label for part in found] == (["Body"] if left != right else [])
    for part in found:
        lines = ["".join(text for _, text in row.left) for row in part.rows if row.left is not None]
        others = ["".join(text for _, text in row.right) for row in part.rows if row.right is not None]
        assert lines == (left.split("\n") if left else []) and others == (right.split("\n") if right else [])
        numbers = [row.left_number for row in part.rows if row.left_number]
        assert numbers == list(range(1, len(lines) + 1))


def test_changed_words_are_marked_and_languages_are_compared() -> None:
    before = version(1, "One\nHello dear friend", variants={"de": {"subject": "Hallo", "body": "x"}})
    after = version(2, "One\nHello old friend\nMore", variants={"de": {"subject": "Servus", "body": "x"}})

    body, subject = comparing.compare(before, after)

    assert [row.kind for row in body.rows] == ["same", "changed", "added"]
    assert body.rows[1].left == ((False, "Hello "), (True, "dear"), (False, " friend"))
    assert body.rows[1].right == ((False, "Hello "), (True, "old"), (False, " friend"))
    assert (subject.label, subject.rows[0].right) == ("Subject, de", ((True, "Servus"),))


def test_the_page_compares_any_two_versions(
    scope: Scope, world: World, actor: Actor, now: Any, growth: None, make_template: MakeTemplate,
    browser_of: Callable[..., Client],
) -> None:  # fmt: skip
    template = make_template("News", Message("Hi", "", "first words"))
    for number, words in ((2, "second words"), (3, "third words")):
        templates.publish(
            scope=scope, actor=actor, template_id=template.public_id, message=Message("Hi", "", words),
            version=number, now=now,
        )  # fmt: skip
    browser, path = browser_of(world.bob), f"/{scope.path}/templates/{template.public_id}/versions/3/"

    assert "<del>second</del>" in browser.get(path).content.decode()
    assert "<del>first</del>" in browser.get(path, {"with": "1"}).content.decode()
    assert "Nothing differs" in browser.get(path, {"with": "3"}).content.decode()
    assert browser.get(path, {"with": "nonsense"}).status_code == 200
