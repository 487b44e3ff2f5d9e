"""The bytes of one message, correct by RFC 5322, 2045, 2047 and 8058: seven bits, CRLF, lines within 998.

Anything that could end a header early is refused, never repaired. A property test reads every message back with the
standard library's parser.
"""

import binascii
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

import idna

from delivery import dkim
from delivery.content.rendering import Content, Rendered

LINE_MAX = 78
WORD_BYTES_MAX = 36  # of text in one encoded word: with its name and marks it stays within 76 columns
# "=_" can't occur in quoted-printable, so that the boundary never does in a body
BOUNDARY = b"=_lamba_part"
_TEXT_PART = b"Content-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
_BEFORE_TEXT = (
    b">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n--" + BOUNDARY + b"\r\n" + _TEXT_PART % b"plain"
)
_BEFORE_HTML = b"\r\n--" + BOUNDARY + b"\r\n" + _TEXT_PART % b"html"
_END = b"\r\n--" + BOUNDARY + b"--\r\n"
_BREAKS = re.compile(r"[\r\n\x00]")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_LOCAL = re.compile(r"[^\s\x00-\x20\x7f()<>\[\]:;@\\,\"]+")
# what nearly every address looks like; short, so that no limit of a part is in question
_USUAL_ADDRESS = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]+")
_LOCAL_MAX, _ADDRESS_MAX = 64, 254


class InjectionRefused(ValueError):
    """A header value holds a line break or NUL."""


class BadAddress(ValueError):
    """The text is not one address that can be handed over."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address as it goes over the wire: domain in ASCII. `international`: the local part needs SMTPUTF8."""

    text: str
    international: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready for a channel. `position` names it in its job."""

    position: int
    sender: str
    recipient: str
    data: bytes  # CRLF lines, no dot-stuffing, ends with CRLF
    international: bool = False
    reference: str = ""  # what names it in a delivery status notification (RFC 3461)


class Letterhead:
    """The headers that all messages of a job share, encoded once."""

    def __init__(self, *, content: Content, feedback_id: str) -> None:
        sender = address(content.from_address)
        self.sender = sender.text
        self.domain = sender.text.partition("@")[2]
        self.international = sender.international
        lines = [b"From: " + _mailbox(content.from_name, sender.text, len("From: "))]
        if content.reply_to:
            lines.append(b"Reply-To: " + address(content.reply_to).text.encode())
        lines += [
            b"Feedback-ID: " + _refuse_breaks(feedback_id).encode("ascii"),
            b"MIME-Version: 1.0",
            b'Content-Type: multipart/alternative; boundary="' + BOUNDARY + b'"',
        ]
        self._signer = dkim.signer(self.domain)
        self.lines = b"\r\n".join([*lines, b"To: "])
        self._after_token = b"@" + self.domain.encode() + b">\r\nList-Unsubscribe: <"

    def envelope(
        self, *, position: int, recipient: str, rendered: Rendered, token: str, unsubscribe_url: str, now: datetime
    ) -> Envelope:
        """The whole message of a rendered person. BadAddress when the recipient's address can't be used."""
        return self.assemble(
            position=position,
            recipient=recipient,
            subject=rendered.subject,
            text=quoted_printable(rendered.text),
            html=quoted_printable(rendered.html),
            token=token,
            unsubscribe_url=unsubscribe_url,
            date=date(now),
        )

    def assemble(
        self,
        *,
        position: int,
        recipient: str,
        subject: str,
        text: bytes,
        html: bytes,
        token: str,
        unsubscribe_url: str,
        date: bytes,
    ) -> Envelope:
        """The whole message from a one-line subject and two encoded parts. BadAddress as above."""
        to = address(recipient)
        parts = (
            self.lines,
            to.text.encode(),
            b"\r\nSubject: ",
            header_text(subject, len("Subject: ")),
            b"\r\nDate: ",
            date,
            b"\r\nMessage-ID: <",
            token.encode("ascii"),
            self._after_token,
            _refuse_breaks(unsubscribe_url).encode("ascii"),
            _BEFORE_TEXT,
            text,
            _BEFORE_HTML,
            html,
            _END,
        )
        data = b"".join(parts)
        if self._signer is not None:
            data = self._signer.sign(data)
        return Envelope(position, self.sender, to.text, data, self.international or to.international, token)


def date(moment: datetime) -> bytes:
    """The value of the Date header."""
    return format_datetime(moment.astimezone(UTC)).encode()


def address(text: str) -> Address:
    """The address with its domain in ASCII (IDNA). BadAddress for anything that isn't exactly one plain address."""
    if _USUAL_ADDRESS.fullmatch(text) and len(text) <= _LOCAL_MAX:
        return Address(text, False)
    local, _, domain = text.strip().rpartition("@")
    if not _LOCAL.fullmatch(local) or len(local.encode()) > _LOCAL_MAX or ".." in f".{local}.":
        raise BadAddress("The part before @ can't be delivered to.")
    try:
        host = domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("The domain is not a domain name.") from None
    if not re.fullmatch(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", host):
        raise BadAddress("The domain is not a domain name.")
    whole = f"{local}@{host}"
    if len(whole.encode()) > _ADDRESS_MAX:
        raise BadAddress("The address is too long.")
    return Address(whole, not local.isascii())


def header_text(text: str, used: int) -> bytes:
    """An unstructured header's value, folded; `used` columns of its first line are taken. RFC 2047 where needed."""
    if len(text) < LINE_MAX - used and _PLAIN.fullmatch(text) and "=?" not in text and text[:1] != " ":
        return text.encode()  # as it is: one line, nothing to encode and nothing to refuse
    value = _refuse_breaks(text)
    if _PLAIN.fullmatch(value) and "=?" not in value and max(map(len, value.split(" "))) < LINE_MAX - used:
        return _folded(value, used)
    return b"\r\n ".join(_encoded_words(value))


def quoted_printable(text: str) -> bytes:
    """The body of a text part: CRLF lines within 76 columns."""
    plain = _LINE_ENDS.sub("\n", text) if "\r" in text else text
    return binascii.b2a_qp(plain.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")


def _mailbox(name: str, mail: str, used: int) -> bytes:
    """`Name <address>` with the name as atoms, a quoted string, or encoded words; the address on a line of its own
    where one line would be long."""
    display = _refuse_breaks(name).strip()
    if not display:
        return mail.encode()
    if not _PLAIN.fullmatch(display) or "=?" in display or len(display) > LINE_MAX - used - 4:
        shown = b"\r\n ".join(_encoded_words(display))
    elif _ATOMS.fullmatch(display):
        shown = display.encode()
    else:
        shown = b'"' + display.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    short = used + len(shown) + len(mail) + 3 <= LINE_MAX and b"\r\n" not in shown
    return shown + (b" <" if short else b"\r\n <") + mail.encode() + b">"


def _encoded_words(text: str) -> list[bytes]:
    """Encoded words of at most 36 bytes of text each; no character is cut."""
    words, part = [], b""
    for character in text:
        encoded = character.encode("utf-8", "replace")
        if len(part) + len(encoded) > WORD_BYTES_MAX:
            words.append(part)
            part = b""
        part += encoded
    return [b"=?utf-8?b?" + b64encode(each) + b"?=" for each in [*words, part]]


def _folded(value: str, used: int) -> bytes:
    lines: list[str] = []
    line = ""
    for word in value.split(" "):
        room = LINE_MAX - (used if not lines else 1)
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line]).encode()


def _refuse_breaks(text: str) -> str:
    if _BREAKS.search(text):
        raise InjectionRefused("A header value must be one line.")
    return text
