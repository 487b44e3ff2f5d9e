"""Templates: what authors may write, what a person's data can't do, and what is refused before launch."""

import time

import pytest

from delivery.content import linting, rendering
from delivery.content.rendering import Content, RenderFailed
from lamba_campaigns.lib.errors import Invalid

KNOWN = frozenset({"person.name", "person.given_name", "person.email", "person.plan"})


def content(body: str = "Hi", subject: str = "Hello", **more: str) -> Content:
    return Content(subject, more.get("preheader", ""), body, more.get("from_name", "Acme"), "hello@acme.example")


def render(body: str, subject: str = "Hello", **person: object) -> rendering.Rendered:
    return rendering.compile(content(body, subject)).render({"person": person}, unsubscribe_url="https://x.example/u/t")


def codes(found: list[linting.Problem]) -> set[tuple[str, str]]:
    return {(problem.pointer, problem.code) for problem in found if problem.severity == "error"}


def test_markdown_becomes_html_with_styles_inside_and_a_text_part() -> None:
    made = render("# Hi {{ person.name }}\n\n- one\n- [two](https://a.example/)\n\n> quoted", name="Ada")
    assert '<h1 style="' in made.html
    assert "Hi Ada</h1>" in made.html
    assert made.text.startswith("Hi Ada\n\n- one\n- two (https://a.example/)\n\n> quoted\n")
    assert "Unsubscribe: https://x.example/u/t" in made.text
    assert 'href="https://x.example/u/t"' in made.html


def test_data_is_never_read_as_markup_or_as_a_template() -> None:
    evil = "<script>alert(1)</script>[x](javascript:1) **b** {{ person.email }} \"' &"
    body = '{{ person.name }} <a title="{{ person.name }}" href="https://a.example/?n={{ person.name }}">l</a>'
    made = render(body, subject="{{ person.name }}", name=evil, email="secret@example.com")
    assert "<script" not in made.html
    assert "&lt;script&gt;" in made.html
    assert "<strong>b" not in made.html
    assert "secret@example.com" not in made.html
    assert made.subject == evil


def test_an_address_from_data_may_only_lead_to_the_web_or_a_mailbox() -> None:
    body = '[a]({{ person.name }}) <a href="{% if true %}{{ person.email }}{% endif %}">b</a>'
    made = render(body, name="javascript:alert(1)", email=" data:text/html,x")
    assert "javascript" not in made.html + made.text
    assert "data:text" not in made.html
    assert 'href="https://ok.example/"' in render("[a]({{ person.name }})", name="https://ok.example/").html


def test_authors_can_not_smuggle_scripts_either() -> None:
    body = '<img src="x" onerror="alert(1)"><iframe src="https://x"></iframe><p style="position:fixed;color:red">x</p>'
    made = render(body)
    assert "onerror" not in made.html
    assert "<iframe" not in made.html
    assert "position" not in made.html
    assert "color: red" in made.html


def test_conditions_and_loops_work_across_paragraphs() -> None:
    body = '{% if person.plan == "pro" %}\n\nYou are **pro**.\n\n{% else %}\n\nGo pro.\n\n{% endif %}\n\nBye'
    assert "You are <strong>pro" in render(body, plan="pro").html
    made = render(body, plan="free")
    assert "Go pro." in made.html
    assert "pro</strong>" not in made.html
    assert made.text.startswith("Go pro.\n\nBye")


def test_both_ways_to_write_a_button() -> None:
    for body in ('[Renew](https://a.example/ "button")', "[Renew](button:https://a.example/)"):
        made = render(body)
        assert '<a class="button" href="https://a.example/"' in made.html
        assert "Renew (https://a.example/)" in made.text


def test_a_subject_is_one_line_whatever_the_data_says() -> None:
    assert render("x", subject="Hi {{ person.name }}", name="A\r\nBcc: v@x.example\u2028b").subject == (
        "Hi A Bcc: v@x.example b"
    )


def test_missing_fields_fail_but_missing_traits_are_empty() -> None:
    with pytest.raises(RenderFailed, match=r"person.name is undefined"):
        render("{{ person.name }}")
    assert "Hi you" in render('Hi {{ person.traits.nick | default: "you" }}').text
    assert "Hi you" in render('Hi {{ person.name | default: "you" }}', name=None).text


@pytest.mark.parametrize(
    "body",
    ["{% include 'x' %}", "{% render 'x' %}", "{{ person.name | safe }}", "{% tablerow a in b %}", "{{ a", "{% if %}"],
)
def test_what_can_not_be_read_or_is_not_allowed_is_refused(body: str) -> None:
    with pytest.raises(Invalid) as refused:
        rendering.compile(content(body))
    assert refused.value.problems[0].pointer == "#/body"


@pytest.mark.parametrize("path", ["person.__class__", "person.name.__class__", "person.keys", "person.items"])
def test_attributes_of_our_objects_can_not_be_reached(path: str) -> None:
    with pytest.raises(RenderFailed):
        render(f"{{{{ {path} }}}}", name="x")


def test_endless_loops_end() -> None:
    with pytest.raises(RenderFailed):
        render("{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}")


def test_a_mark_inside_a_tag_is_refused() -> None:
    with pytest.raises(Invalid, match="can't be read"):
        rendering.compile(content("<p {{ person.name }}>x</p>"))


def test_lint_names_every_problem_with_its_place() -> None:
    found = linting.lint(
        content(
            "Hi {{ person.nickname }} {{ person.traits.company }} {{ unsubscribe_url }}\n\n![](https://a.example/x.png)",
            subject="{{ campaign.name }}",
        ),
        KNOWN,
    )
    assert codes(found) == {("#/subject", "unknown_variable"), ("#/body", "unknown_variable")}
    assert {problem.code for problem in found if problem.severity == "warning"} >= {"image_without_alt", "no_fallback"}


def test_lint_refuses_empty_broken_and_secret_content() -> None:
    found = linting.lint(
        Content("", "", "key sk_live_" + "0123456789abcdef", "Acme\r\nBcc: x", "not an address"), KNOWN
    )
    assert codes(found) == {
        ("#/subject", "required"),
        ("#/from_name", "line_break"),
        ("#/from_address", "invalid_address"),
        ("#/body", "secret_detected"),
    }
    assert all("sk_live" not in problem.detail for problem in found)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "AKIAQ3EGRIWD7T5J2XYZ",
        "Authorization: Bearer 0123456789abcdef0123", "https://user:pa55word@host.example/",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop",
    ],
)  # fmt: skip
def test_secrets_are_found(text: str) -> None:
    assert ("#/body", "secret_detected") in codes(linting.lint(content(f"Look: {text} end"), KNOWN))


@pytest.mark.parametrize(
    "text",
    ["Your code is 123456", "https://acme.example/?token=abc&id=1", "Bearer of good news", "AKIAIOSFODNN7EXAMPLE",
     "write to a:b@c", "sk_live", "[mail](mailto:a@b.example)"],
)  # fmt: skip
def test_ordinary_words_are_no_secrets(text: str) -> None:
    assert not codes(linting.lint(content(text), KNOWN))


def test_variables_say_what_a_snapshot_must_keep() -> None:
    body = "{{ person.given_name }} {% if person.plan %}{{ person.traits.company }}{% endif %}"
    found = rendering.variables(content(body, "{{ person.email }}"))
    assert found == {"person.given_name", "person.plan", "person.traits.company", "person.email"}


@pytest.mark.parametrize("body", ["[" * 20_000, "*a " * 20_000, "![" * 20_000, "~~a " * 20_000, "|a" * 20_000])
def test_a_body_of_nothing_but_markup_is_refused_at_once(body: str) -> None:
    began = time.process_time()
    assert ("#/body", "too_dense") in codes(linting.lint(content(body), KNOWN))
    assert time.process_time() - began < 1


@pytest.mark.parametrize("nobody", ["", None])
@pytest.mark.parametrize(
    "question",
    [
        "{% if person.name %}a name{% else %}none{% endif %}",
        "{% unless person.name %}none{% else %}a name{% endunless %}",
        "{% if person.plan == 'x' %}{% elsif person.name %}a name{% else %}none{% endif %}",
        "{% if person.name and person.email %}a name{% else %}none{% endif %}",
        "{% if person.name or person.plan %}a name{% else %}none{% endif %}",
        *(
            f"{{% if person.name != {word} %}}a name{{% else %}}none{{% endif %}}"
            for word in ("blank", "empty", "nil", "''")
        ),
        *(
            f"{{% if person.name == {word} %}}none{{% else %}}a name{{% endif %}}"
            for word in ("blank", "empty", "nil", "''")
        ),
    ],
)
def test_an_empty_field_is_absent_however_it_is_asked_for(question: str, nobody: str | None) -> None:
    others = {"plan": nobody, "email": "ada@x.example"}

    assert render(question, question, name=nobody, **others).subject == "none"
    assert render(question, question, name="Ada", **others).subject == "a name"


def test_what_is_asked_for_counts_as_a_field_of_the_message() -> None:
    assert rendering.variables(content("{% if person.name and person.plan != blank %}x{% endif %}")) == {
        "person.name",
        "person.plan",
    }
