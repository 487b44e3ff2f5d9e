"""Bytes go to the address that was checked, under the name that was asked for; connections are kept."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from projects.scoping import Scope
from webhooks import connections, posting
from webhooks.tests.customers import Receiver

pytestmark = pytest.mark.django_db


class SecureServer:
    """Answers one request by TLS under a certificate for `name`; keeps what it was asked and under which name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = _certificate(folder / "server.pem", name)
        self.names: list[str | None] = []
        self.got = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            with self._context.wrap_socket(self._listener.accept()[0], server_side=True) as client:
                self.got = client.recv(4_096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()
        self._thread.join(2)


def _certificate(path: Path, name: str) -> str:
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made + private)
    return made.decode()


@pytest.fixture(autouse=True)
def authorities() -> Iterator[None]:
    """No test's own authority is trusted by the next one."""
    connections._trusted.cache_clear()
    yield
    connections._trusted.cache_clear()


@pytest.mark.parametrize(
    ("named", "trusted", "code", "sent"),
    [("localhost", True, 200, True), ("localhost", False, None, False), ("other.example", True, None, False)],
)
def test_a_certificate_must_be_trusted_and_of_the_name_that_was_asked_for(
    sandbox: Scope, tmp_path: Path, named: str, trusted: bool, code: int | None, sent: bool
) -> None:
    server = SecureServer(tmp_path, named)
    if trusted:
        connections._trusted().load_verify_locations(cadata=server.certificate)

    url = f"https://localhost:{server.port}/hook?a=1"
    answer = posting.post(url=url, body=b"{}", headers={}, scope=sandbox, sessions=connections.Sessions())

    server.close()
    assert (answer.code, answer.sent) == (code, sent)
    assert server.names == ["localhost"]
    assert server.got.startswith(b"POST /hook?a=1 HTTP/1.1\r\n" if code else b"")
    assert bool(server.got) == bool(code), "nothing of the request leaves before the other side is known"
    if code:
        assert f"Host: localhost:{server.port}\r\n".encode() in server.got


def test_a_name_is_resolved_and_checked_for_each_request_though_a_connection_is_kept(
    sandbox: Scope, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere the second time (DNS rebinding) is caught, with a connection to the first in hand."""
    sessions, url = connections.Sessions(), f"http://crm.example:{receiver.port}/hook"
    found: list[Any] = ["127.0.0.1", "127.0.0.1", "10.0.0.1"]
    asked = socket.getaddrinfo

    def resolve(name: str, port: int, *args: Any, **options: Any) -> Any:
        return asked(found.pop(0) if name == "crm.example" else name, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    answers = [
        posting.post(url=url, body=b"{}", headers={}, scope=sandbox, sessions=sessions) for _ in range(len(found))
    ]

    sessions.close()
    assert [each.code for each in answers] == [204, 204, None]
    assert (answers[2].detail, answers[2].sent) == ("The name resolves to the private address 10.0.0.1.", False)
    assert [headers["host"] for headers, _ in receiver.got] == [f"crm.example:{receiver.port}"] * 2
