"""The SMTP client against servers that misbehave: every message gets the one answer that is true."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from delivery.channels import smtp
from delivery.channels.base import ChannelDown, Outcome
from delivery.channels.relay import BadRelay, parse
from delivery.channels.sandbox import SandboxChannel
from delivery.channels.smtp import SmtpChannel
from delivery.content.mime import Envelope
from delivery.tests.conftest import Postbox, free_port

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(postbox, **options of aiosmtpd) -> host:port of a running server."""
    running: list[Controller] = []

    def start(box: Postbox, **options: Any) -> str:
        server = Controller(box, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True, **options)
        server.start()
        running.append(server)
        return f"127.0.0.1:{server.port}"

    yield start
    for server in running:
        server.stop()


def batch(count: int, body: str = "Hello\r\n.hidden dot\r\n..\r\n") -> list[Envelope]:
    return [
        Envelope(number, "a@acme.example", f"u{number}@example.com", f"Subject: {number}\r\n\r\n{body}".encode())
        for number in range(1, count + 1)
    ]


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_message_arrives_whole_and_in_one_connection_each(serve: Serve, pipelining: bool) -> None:
    box = Postbox(pipelining=pipelining)
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=3"))
    for _ in range(2):
        handed = channel.send_batch(batch(40))
        assert kinds(handed.outcomes) == ["accepted"] * 40
    assert len(box.received) == 80
    assert box.connections == 3, "connections are kept between batches"
    assert all(raw.endswith(b"Hello\r\n.hidden dot\r\n..\r\n") for _, raw in box.received)
    channel.close()


@pytest.mark.parametrize("pipelining", [True, False])
def test_refused_recipients_do_not_disturb_the_others(serve: Serve, pipelining: bool) -> None:
    box = Postbox(pipelining=pipelining)
    box.rcpt = lambda address: (
        "550 5.1.1 Unknown" if address.startswith("u3@") else "451 4.2.1 Later" if address.startswith("u5@") else None
    )
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    handed = channel.send_batch(batch(6))
    assert kinds(handed.outcomes) == ["accepted", "accepted", "rejected", "accepted", "deferred", "accepted"]
    assert handed.outcomes[2] == Outcome("rejected", "5.1.1", "550 Unknown")
    assert handed.outcomes[4].code == "4.2.1"
    assert len(box.received) == 4
    channel.close()


def test_a_server_that_refuses_the_message_itself_defers_or_rejects_it(serve: Serve) -> None:
    box = Postbox()
    answers = iter(["554 5.6.0 Bad content", "452 4.3.1 Full", None])
    box.data = lambda server, envelope: next(answers)
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    assert kinds(channel.send_batch(batch(3)).outcomes) == ["rejected", "deferred", "accepted"]
    channel.close()


def test_a_connection_lost_after_the_final_dot_is_uncertain_and_never_sent_again(serve: Serve) -> None:
    box = Postbox()
    drops = iter([True])
    box.data = lambda server, envelope: "drop" if next(drops, False) else None
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    handed = channel.send_batch(batch(5))
    assert sorted(kinds(handed.outcomes)) == ["accepted"] * 4 + ["uncertain"]
    assert box.addresses() == [f"u{number}@example.com" for number in range(1, 6)]
    channel.close()


def test_a_connection_lost_before_the_dot_is_tried_on_another_one(serve: Serve) -> None:
    box = Postbox()
    closes = iter([True])
    box.rcpt = lambda address: "close" if next(closes, False) else None
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    assert kinds(channel.send_batch(batch(5)).outcomes) == ["accepted"] * 5
    assert len(box.received) == 5
    assert box.connections == 2
    channel.close()


def test_a_server_that_always_closes_defers_and_ends(serve: Serve) -> None:
    box = Postbox()
    box.rcpt = lambda address: "close"
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=2"))
    assert kinds(channel.send_batch(batch(4)).outcomes) == ["deferred"] * 4
    assert not box.received


def test_421_in_the_middle_of_a_pipeline_repeats_nobody(serve: Serve) -> None:
    box = Postbox()
    served = iter(range(1000))

    def tired(server: Any, envelope: Any) -> str | None:
        return "421 4.7.0 Enough for now" if next(served) % 7 == 6 else None

    box.data = tired
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    handed = channel.send_batch(batch(20))
    assert handed.outcomes.count(Outcome("deferred", "4.7.0", "421 Enough for now")) == kinds(handed.outcomes).count(
        "deferred"
    )
    assert len(box.received) == len(set(box.addresses())) == kinds(handed.outcomes).count("accepted")
    assert "uncertain" not in kinds(handed.outcomes)
    channel.close()


def test_a_server_that_stalls_after_the_dot_is_uncertain_within_the_deadline(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "BATCH_SECONDS_MAX", 0.5)
    box = Postbox()

    async def stall(server: Any, envelope: Any) -> None:
        await asyncio.sleep(5)

    box.data = stall
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    began = datetime.now(UTC)
    handed = channel.send_batch(batch(3))
    assert datetime.now(UTC) - began < timedelta(seconds=2)
    assert sorted(kinds(handed.outcomes)) == ["deferred", "deferred", "uncertain"]
    assert handed.down


def test_a_sender_that_is_refused_stops_everything_and_rejects_nobody(serve: Serve) -> None:
    box = Postbox()
    box.mail = lambda address: "550 5.7.1 Not your domain"
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=1"))
    handed = channel.send_batch(batch(10))
    assert kinds(handed.outcomes) == ["deferred"] * 10
    assert "refuses the sender" in handed.down


def test_a_relay_that_is_away_is_down() -> None:
    with pytest.raises(ChannelDown, match=r"127\.0\.0\.1"):
        SmtpChannel(parse(f"smtp://127.0.0.1:{free_port()}")).ready()


def test_what_the_relay_can_not_take_fails_without_being_sent(serve: Serve) -> None:
    box = Postbox()
    channel = SmtpChannel(parse(f"smtp://{serve(box, data_size_limit=500)}"))
    big, small = batch(1, "x" * 600 + "\r\n"), batch(2)[1:]
    handed = channel.send_batch([*big, *small])
    assert [(outcome.kind, outcome.code) for outcome in handed.outcomes] == [("failed", "5.3.4"), ("accepted", "2.0.0")]
    channel.close()


def test_addresses_outside_ascii_use_smtputf8(serve: Serve) -> None:
    box = Postbox()
    channel = SmtpChannel(parse(f"smtp://{serve(box)}"))
    item = Envelope(1, "a@acme.example", "jürgen@example.com", "Subject: Grüße\r\n\r\nHallo\r\n".encode(), True)
    assert kinds(channel.send_batch([item]).outcomes) == ["accepted"]
    assert box.addresses() == ["jürgen@example.com"]
    channel.close()


def test_a_line_noise_server_is_down_not_fatal() -> None:
    port = free_port()

    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(noise, "127.0.0.1", port), loop).result()
    try:
        with pytest.raises(ChannelDown, match="does not speak SMTP"):
            SmtpChannel(parse(f"smtp://127.0.0.1:{port}")).ready()
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


# --- TLS and signing in ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, signed by itself; the file holds key and certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"lamba", b"p@ss word"), handled=False)


@pytest.mark.parametrize("without", [[], ["PLAIN"]])
def test_starttls_and_sign_in(serve: Serve, certificate: Path, without: list[str]) -> None:
    box = Postbox()
    place = serve(
        box, tls_context=server_context(certificate), require_starttls=True, authenticator=check, auth_required=True,
        auth_exclude_mechanism=without,
    ).replace("127.0.0.1", "localhost")  # fmt: skip
    channel = SmtpChannel(parse(f"smtp+tls://lamba:p%40ss%20word@{place}?ca={certificate}"))
    assert kinds(channel.send_batch(batch(3)).outcomes) == ["accepted"] * 3
    channel.close()
    with pytest.raises(ChannelDown, match="AUTH"):
        SmtpChannel(parse(f"smtp+tls://lamba:wrong@{place}?ca={certificate}")).ready()
    with pytest.raises(ChannelDown, match=r"(?i)certificate"):
        SmtpChannel(parse(f"smtp+tls://lamba:p%40ss%20word@{place}")).ready()


def test_a_relay_without_starttls_gets_nothing_when_tls_was_asked_for(serve: Serve) -> None:
    box = Postbox()
    with pytest.raises(ChannelDown, match="does not offer STARTTLS"):
        SmtpChannel(parse(f"smtp+tls://{serve(box)}")).ready()
    assert not box.received


class TlsController(Controller):
    """TLS from the first byte; the library's own probe does not speak it."""

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.port), timeout=2):
            pass


def test_implicit_tls(certificate: Path) -> None:
    box, port = Postbox(), free_port()
    server = TlsController(box, hostname="127.0.0.1", port=port, ssl_context=server_context(certificate))
    server.start()
    try:
        channel = SmtpChannel(parse(f"smtps://localhost:{port}?ca={certificate}"))
        assert kinds(channel.send_batch(batch(3)).outcomes) == ["accepted"] * 3
        channel.close()
        with pytest.raises(ChannelDown, match=r"(?i)certificate"):
            SmtpChannel(parse(f"smtps://localhost:{port}")).ready()
    finally:
        server.stop()


def test_relay_addresses_are_read_or_refused() -> None:
    relay = parse("smtp+tls://user%40host:p%3Aw@mail.example.com?connections=16")
    assert (relay.host, relay.port, relay.user, relay.password) == ("mail.example.com", 587, "user@host", "p:w")
    assert "p:w" not in repr(relay)
    for bad in ("http://x", "smtp://", "smtp://u:p@mail.example.com", "smtp://x?connections=0"):
        with pytest.raises(BadRelay):
            parse(bad)


def test_a_sandbox_mails_only_its_allow_list(serve: Serve) -> None:
    world, capture = Postbox(), Postbox()
    channel = SandboxChannel(
        world=SmtpChannel(parse(f"smtp://{serve(world)}")),
        capture=SmtpChannel(parse(f"smtp://{serve(capture)}")),
        allowed=["U2@Example.com"],
    )
    assert kinds(channel.send_batch(batch(4)).outcomes) == ["accepted"] * 4
    assert world.addresses() == ["u2@example.com"]
    assert capture.addresses() == ["u1@example.com", "u3@example.com", "u4@example.com"]


# --- what a relay offers, and what it complains of ------------------------------------------------------------------
def test_status_notifications_are_asked_for_where_they_are_offered() -> None:
    asked: list[str] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while line := await reader.readline():
            verb = line[:4].decode()
            if verb in ("MAIL", "RCPT"):
                asked.append(line.decode().strip())
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250-here\r\n250-DSN\r\n250 PIPELINING\r\n" if verb == "EHLO" else b"250 2.0.0 fine\r\n")
        writer.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(relay, "127.0.0.1", 0), loop).result()
    place = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    item = Envelope(1, "a@acme.example", "u1@example.com", b"Subject: x\r\n\r\nx\r\n", reference="token1")
    try:
        for option in ("", "?dsn=off"):
            channel = SmtpChannel(parse(place + option))
            assert kinds(channel.send_batch([item]).outcomes) == ["accepted"]
            channel.close()
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_later(0.2, loop.stop)
        loop.call_soon_threadsafe(lambda: None)
        thread.join()
        loop.close()
    assert asked == [
        "MAIL FROM:<a@acme.example> RET=HDRS ENVID=token1",
        "RCPT TO:<u1@example.com> NOTIFY=FAILURE,DELAY",
        "MAIL FROM:<a@acme.example>",
        "RCPT TO:<u1@example.com>",
    ]


def test_too_many_connections_are_made_fewer_and_everything_still_leaves(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Postbox()
    answers = iter(range(1000))
    box.data = lambda server, envelope: "421 4.7.0 Too many connections" if next(answers) in (3, 9) else None
    channel = SmtpChannel(parse(f"smtp://{serve(box)}?connections=8"))
    outcomes = kinds(channel.send_batch(batch(120)).outcomes)
    assert outcomes.count("accepted") == len(box.received) == len(set(box.addresses())) == 118
    assert outcomes.count("deferred") == 2
    assert channel._width == 2
    monkeypatch.setattr(smtp, "CALM_SECONDS", 0)
    for _ in range(10):
        channel.send_batch(batch(10))
    assert channel._width == 8, "one more after each calm while, up to the relay's limit"
    channel.close()
