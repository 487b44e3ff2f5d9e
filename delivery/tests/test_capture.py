"""The capture server: what it took is stored where its environment sees it; what is not ours is refused."""

import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from delivery import capture, tokens
from delivery.models import CapturedMail
from delivery.tests.conftest import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Iterator[smtplib.SMTP]:
    port = free_port()
    server, handler = capture.controller(host="127.0.0.1", port=port)
    server.start()
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as found:
        yield found
    server.stop()
    handler.close()


def mail(mark: str, subject: str = "Hello") -> bytes:
    return f"Subject: {subject}\r\nMessage-ID: <{mark}@acme.example>\r\n\r\n.Body\r\n".encode()


def test_a_message_of_ours_is_stored_as_received(world: Any, client: smtplib.SMTP) -> None:
    mark = tokens.token(environment_id=world.sandbox.environment_id, job_id=5, position=6)
    client.sendmail("a@acme.example", ["u1@example.com"], mail(mark, "=?utf-8?b?R3LDvMOfZQ==?="))
    row = CapturedMail.objects.within(world.sandbox).get()
    assert (row.job_id, row.position, row.recipient, row.subject) == (5, 6, "u1@example.com", "Grüße")
    assert bytes(row.raw).endswith(b"\r\n\r\n.Body\r\n")
    assert not CapturedMail.objects.within(world.production).exists()


def test_a_message_that_is_not_ours_is_refused(world: Any, client: smtplib.SMTP) -> None:
    for raw in (mail("x" * 26), b"Subject: Hello\r\n\r\nBody\r\n"):
        with pytest.raises(smtplib.SMTPDataError, match="not one of ours"):
            client.sendmail("a@acme.example", ["u1@example.com"], raw)
    assert not CapturedMail.objects.across_environments("none at all").exists()


def test_a_message_of_an_environment_that_is_gone_is_refused(world: Any, client: smtplib.SMTP) -> None:
    mark = tokens.token(environment_id=999_999, job_id=5, position=6)
    with pytest.raises(smtplib.SMTPDataError, match="does not exist"):
        client.sendmail("a@acme.example", ["u1@example.com"], mail(mark))
