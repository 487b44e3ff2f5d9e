"""The bytes of a message, read back by the standard library's parser: what went in comes out."""

import email
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.content import mime
from delivery.content.mime import BadAddress, InjectionRefused, Letterhead
from delivery.content.rendering import Content, Rendered, one_line

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
# everything that a text column of Postgres can hold
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=400)
LINE = TEXT.map(one_line)


def made(subject: str, text: str, html: str, sender: str = "Acme") -> bytes:
    content = Content("", "", "", sender, "hello@acme.example", "reply@acme.example")
    return (
        Letterhead(content=content, feedback_id="job_1:prj_1:email:lamba")
        .envelope(
            position=1,
            recipient="u1@example.com",
            rendered=Rendered(subject, html, text),
            token="a" * 26,
            unsubscribe_url="https://mail.acme.example/u/" + "b" * 26,
            now=NOW,
        )
        .data
    )


def read(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=policy.default)


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(subject=LINE, sender=LINE.filter(lambda name: len(name) < 120), text=TEXT, html=TEXT)
def test_what_goes_in_comes_out(subject: str, sender: str, text: str, html: str) -> None:
    raw = made(subject, text, html, sender)

    message = read(raw)
    assert not message.defects
    assert str(message["Subject"]) == subject
    assert message["From"].addresses[0].addr_spec == "hello@acme.example"
    name = message["From"].addresses[0].display_name
    if len(sender.encode()) > mime.WORD_BYTES_MAX:  # CPython puts a space between two encoded words of a name
        name, sender = name.replace(" ", ""), sender.replace(" ", "")
    assert name == sender
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    assert [lines(part.get_content()).rstrip("\n") for part in parts] == [
        lines(text).rstrip("\n"),
        lines(html).rstrip("\n"),
    ]


@given(subject=LINE, text=TEXT, html=TEXT, sender=LINE)
def test_every_line_is_short_ascii_and_ends_with_crlf(subject: str, text: str, html: str, sender: str) -> None:
    raw = made(subject, text, html, sender)
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert raw.replace(b"\r\n", b"").count(b"\r") == raw.replace(b"\r\n", b"").count(b"\n") == 0
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    head, _, body = raw.partition(b"\r\n\r\n")
    assert max(map(len, body.split(b"\r\n"))) <= 78
    assert head.count(b"\r\nSubject:") == 1


@given(value=st.tuples(TEXT, st.sampled_from("\r\n"), TEXT).map("".join))
def test_a_header_can_not_be_broken_out_of(value: str) -> None:
    with pytest.raises(InjectionRefused):
        mime.header_text(value, 0)
    with pytest.raises(InjectionRefused):
        made("Hi", "", "", value)


def test_the_headers_of_bulk_mail_are_there() -> None:
    message = read(made("Hello", "Text", "<p>Html</p>"))
    assert message["To"] == "u1@example.com"
    assert message["Reply-To"] == "reply@acme.example"
    assert message["Message-ID"] == f"<{'a' * 26}@acme.example>"
    assert message["Date"].datetime == NOW
    assert message["List-Unsubscribe"] == f"<https://mail.acme.example/u/{'b' * 26}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Feedback-ID"] == "job_1:prj_1:email:lamba"
    assert message["MIME-Version"] == "1.0"


@pytest.mark.parametrize(
    ("given", "wire", "international"),
    [
        ("Ada@Example.com", "Ada@example.com", False),
        ("a+b@münchen.example", "a+b@xn--mnchen-3ya.example", False),
        ("jürgen@example.com", "jürgen@example.com", True),
        ("x@localhost", "x@localhost", False),
    ],
)
def test_addresses_as_they_go_over_the_wire(given: str, wire: str, international: bool) -> None:
    assert mime.address(given) == mime.Address(wire, international)


@pytest.mark.parametrize(
    "bad",
    [
        "", "x", "@x", "x@", "a b@x.com", "a@b@c.com", "a\r\nRCPT TO:<v@x.com>@x.com", "a@x.com>\r\nDATA", "<a@x.com>",
        "a@-x.com", "a..b@x.com", ".a@x.com", "a@x..com", "a,b@x.com", "x" * 65 + "@x.com", "a@" + "x" * 64 + ".com",
    ],
)  # fmt: skip
def test_anything_but_one_plain_address_is_refused(bad: str) -> None:
    with pytest.raises(BadAddress):
        mime.address(bad)
