"""One SMTP connection: replies in order, TLS, authentication, and one message after the other without waiting.

Sources: RFC 5321, 2920 (pipelining), 3207 (STARTTLS), 4954 (AUTH), 3461 (DSN), 3463 (enhanced codes), 6531 (SMTPUTF8).
"""

import asyncio
import re
import socket
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from delivery.channels.base import DETAIL_CHARS_MAX, ChannelDown, Outcome
from delivery.channels.relay import Relay
from delivery.content.mime import Envelope

REPLY_LINE_BYTES_MAX = 4_096
REPLY_LINES_MAX = 128
REPLIES_KEPT = 1_024
_WHOLE = re.compile(rb"(\d{3}) (?:([245]\.\d{1,3}\.\d{1,3})\s+)?([\x20-\x7e]*)")
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\s+")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the server, its lines joined."""

    code: int
    enhanced: str
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 300

    def outcome(self) -> Outcome:
        """What a reply to a message or its recipient means for it."""
        kind = "accepted" if self.ok else "deferred" if self.code < 500 else "rejected"
        return Outcome(kind, self.enhanced or str(self.code), f"{self.code} {self.text}"[:DETAIL_CHARS_MAX])  # type: ignore[arg-type]


@lru_cache(maxsize=REPLIES_KEPT)
def _alone(line: bytes) -> Reply | None:
    """A reply of one line. Most servers say the same to every sender, recipient and DATA."""
    match = _WHOLE.fullmatch(line)
    return Reply(int(match[1]), (match[2] or b"").decode(), match[3].decode().strip()) if match else None


class Lost(Exception):
    """The connection is gone, or says that it will be; the text says how."""


class SenderRefused(Exception):
    """The server does not accept our sender: true of every message alike."""


class Session(asyncio.Protocol):
    """Connected, greeted, and where asked for encrypted and signed in, after `open()`."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.capabilities: dict[str, str] = {}
        self.lost = ""
        self._transport: asyncio.Transport | None = None
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._buffer = b""
        self._lines: list[str] = []
        self._reset_first = False

    # --- the wire ---------------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take_line(line.rstrip(b"\r"))
        if len(self._buffer) > REPLY_LINE_BYTES_MAX:
            self.abort("The server sent a line without an end.")
        self._wake()

    def connection_lost(self, problem: Exception | None) -> None:
        self.lost = self.lost or (f"Connection lost: {problem}" if problem else "The server closed the connection.")
        self._wake()

    def abort(self, why: str) -> None:
        """Drop the connection now; whoever waits for a reply gets Lost with `why`."""
        self.lost = self.lost or why
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def ended(self) -> str:
        """Why the connection is of no more use, or nothing while it is."""
        return self.lost

    def write(self, data: bytes) -> None:
        if not self.lost:
            assert self._transport is not None
            self._transport.write(data)

    async def reply(self) -> Reply:
        """The next reply in order. Lost when the connection ends first, or on 421, which announces just that."""
        while not self._replies:
            if self.lost:
                raise Lost(self.lost)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        reply = self._replies.popleft()
        if reply.code == 421:
            self.abort(f"421 {reply.text}"[:DETAIL_CHARS_MAX])
        return reply

    def _take_line(self, line: bytes) -> None:
        if not self._lines and not self._greeting and (reply := _alone(line)) is not None:
            self._replies.append(reply)
            return
        text = line.decode("utf-8", "replace").replace("\x00", "")
        if len(text) < 3 or not text[:3].isdigit() or text[3:4] not in ("", " ", "-"):
            self.abort(f"The server does not speak SMTP: {text[:80]!r}")
            return
        self._lines.append(text[4:])
        if text[3:4] == "-":
            if len(self._lines) > REPLY_LINES_MAX:
                self.abort("The server sent a reply without an end.")
            return
        match = _ENHANCED.match(self._lines[0])
        shown = " ".join(_ENHANCED.sub("", part, count=1) if match else part for part in self._lines)
        self._raw_lines, self._lines = self._lines, []
        self._replies.append(Reply(int(text[:3]), match[1] if match else "", shown.strip()))
        if int(text[:3]) == 250 and self._greeting:
            self._note_capabilities(self._raw_lines)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- opening ----------------------------------------------------------------------------------------------------
    _greeting = False
    _raw_lines: list[str]

    async def open(self) -> None:
        """Connect and get ready to send; ChannelDown says why not."""
        loop = asyncio.get_running_loop()
        tls = self.relay.tls() if self.relay.security == "tls" else None
        try:
            await loop.create_connection(lambda: self, self.relay.host, self.relay.port, ssl=tls)
            await self._expect(220, "greeting")
            await self._ehlo()
            if self.relay.security == "starttls":
                await self._start_tls()
            if self.relay.user:
                await self._sign_in()
        except (OSError, Lost) as problem:
            self.abort(str(problem))
            raise ChannelDown(f"{self.relay!r}: {problem}"[:DETAIL_CHARS_MAX]) from None
        except ChannelDown:
            self.abort("not usable")
            raise

    async def _ehlo(self) -> None:
        self._greeting = True
        self.write(f"EHLO {self.relay.helo or socket.gethostname()}\r\n".encode())
        await self._expect(250, "EHLO")
        self._greeting = False

    def _note_capabilities(self, lines: list[str]) -> None:
        found = (line.strip().partition(" ") for line in lines[1:])
        self.capabilities = {name.upper(): rest.strip().upper() for name, _, rest in found if name}

    async def _start_tls(self) -> None:
        if "STARTTLS" not in self.capabilities:
            raise ChannelDown(f"{self.relay!r} does not offer STARTTLS; nothing is sent in the clear.")
        self.write(b"STARTTLS\r\n")
        await self._expect(220, "STARTTLS")
        if self._buffer or self._replies:
            raise ChannelDown(f"{self.relay!r} sent data before TLS began: somebody may be in between.")
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        transport = await loop.start_tls(self._transport, self, self.relay.tls(), server_hostname=self.relay.host)
        self._transport = cast(asyncio.Transport, transport)
        await self._ehlo()

    async def _sign_in(self) -> None:
        offered = self.capabilities.get("AUTH", "").split()
        user, password = self.relay.user.encode(), self.relay.password.encode()
        if "PLAIN" in offered:
            steps = [b"AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password)]
        elif "LOGIN" in offered:
            steps = [b"AUTH LOGIN", b64encode(user), b64encode(password)]
        else:
            raise ChannelDown(f"{self.relay!r} offers neither AUTH PLAIN nor LOGIN.")
        for step in steps[:-1]:
            self.write(step + b"\r\n")
            await self._expect(334, "AUTH")
        self.write(steps[-1] + b"\r\n")
        await self._expect(235, "AUTH")

    async def _expect(self, code: int, what: str) -> None:
        reply = await self.reply()
        if reply.code != code:
            raise ChannelDown(f"{self.relay!r} answered {what} with {reply.code} {reply.text}"[:DETAIL_CHARS_MAX])

    # --- messages ---------------------------------------------------------------------------------------------------
    @property
    def pipelining(self) -> bool:
        return "PIPELINING" in self.capabilities

    def refuses(self, item: Envelope) -> Outcome | None:
        """Why this server can't take the message whatever we do, known before anything is sent."""
        if item.international and "SMTPUTF8" not in self.capabilities:
            return Outcome("failed", "5.6.7", "The relay does not accept addresses outside ASCII (no SMTPUTF8).")
        limit = self.capabilities.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < len(item.data):
            return Outcome("failed", "5.3.4", f"The message has {len(item.data):,} bytes; the relay takes {limit}.")
        return None

    def announce(self, item: Envelope) -> bytes:
        """What to write to begin this message: the whole envelope in one go where the server pipelines."""
        first = b"RSET\r\n" if self._reset_first and self.pipelining else b""
        return first + (b"".join(self._commands(item)) if self.pipelining else b"")

    async def envelope_replies(self, item: Envelope) -> Outcome | None:
        """None when the server waits for the message; else what became of it. Reads exactly the replies it is owed."""
        mail, rcpt, data = await (self._pipelined() if self.pipelining else self._step_by_step(item))
        refusal = next((reply for reply in (mail, rcpt) if not reply.ok), None)
        if data.code == 354 and refusal is None:
            return None
        if data.code == 354:  # RFC 2920: nobody accepted, yet it waits for a message: give it an empty one
            self.write(b".\r\n")
            await self.reply()
        self._reset_first = data.code != 354
        if not mail.ok and mail.code >= 500:
            raise SenderRefused(f"{mail.code} {mail.text}"[:DETAIL_CHARS_MAX])
        return (refusal or data).outcome()

    async def _pipelined(self) -> tuple[Reply, Reply, Reply]:
        if self._reset_first:
            self._reset_first = False
            await self.reply()
        return await self._counted(), await self._counted(), await self._counted()

    async def _step_by_step(self, item: Envelope) -> tuple[Reply, Reply, Reply]:
        if self._reset_first:
            self._reset_first = False
            self.write(b"RSET\r\n")
            await self._counted()
        replies: list[Reply] = []
        for command in self._commands(item):
            self.write(command)
            replies.append(await self._counted())
            if not replies[-1].ok and replies[-1].code != 354:
                break
        return (*replies, *[replies[-1]] * (3 - len(replies)))  # type: ignore[return-value]

    def _commands(self, item: Envelope) -> tuple[bytes, bytes, bytes]:
        sender = " BODY=8BITMIME SMTPUTF8" if item.international else ""
        recipient = ""
        if self.relay.notify and "DSN" in self.capabilities:
            sender += f" RET=HDRS ENVID={item.reference}" if item.reference else " RET=HDRS"
            recipient = " NOTIFY=FAILURE,DELAY"
        return (
            f"MAIL FROM:<{item.sender}>{sender}\r\n".encode(),
            f"RCPT TO:<{item.recipient}>{recipient}\r\n".encode(),
            b"DATA\r\n",
        )

    async def _counted(self) -> Reply:
        """A reply inside an envelope: 421 there ends the session before anything was handed over."""
        reply = await self.reply()
        if reply.code == 421:
            raise Lost(self.lost)
        return reply

    def quit(self) -> None:
        """Say goodbye and close, without waiting for an answer."""
        self.write(b"QUIT\r\n")
        if self._transport is not None:
            self._transport.close()


def body(item: Envelope) -> bytes:
    """The message with its dots stuffed, and the final dot."""
    return item.data.replace(b"\r\n.", b"\r\n..") + b".\r\n"
