"""What a door answers when it takes nothing: a problem document that says what was found and what to do next.

Both doors, plain and fast, answer the same refusal for the same request.
"""

import json
from collections.abc import Mapping

from lamba_campaigns.lib.errors import DomainError, NotFound
from lamba_campaigns.web.problems import BodyTooLarge, MethodNotAllowed, UnsupportedMediaType, problem

BODY_BYTES_MAX = 262_144
BODY_SECONDS_MAX = 10.0
BUSY_RETRY_SECONDS = 5
DISABLED_RETRY_SECONDS = 300
PATH = "/api/lamba/webhooks/{endpoint}"


class Reply:
    """An answer of either door. `start` and `end` are its ASGI messages, made once."""

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.body = status, body
        self.headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        raw = [(name.lower().encode(), text.encode()) for name, text in self.headers.items()]
        self.start = {"type": "http.response.start", "status": status, "headers": raw}
        self.end = {"type": "http.response.body", "body": body}


class BodyIncomplete(DomainError):
    code = "BODY_INCOMPLETE"
    status = 400
    title = "The body did not arrive whole"


class BodyTooSlow(DomainError):
    code = "BODY_TOO_SLOW"
    status = 408
    title = "The body did not arrive in time"


class SignatureNotBelieved(DomainError):
    """The request does not prove that it comes from this endpoint's sender."""

    code = "SIGNATURE_REFUSED"
    status = 401
    title = "The signature is not believed"


class EndpointRetired(DomainError):
    code = "ENDPOINT_RETIRED"
    status = 410
    title = "This endpoint was deleted"


class EndpointDisabled(DomainError):
    code = "ENDPOINT_DISABLED"
    status = 503
    title = "This endpoint is switched off"


class NotStored(DomainError):
    """The event could not be made durable, so it is not acknowledged."""

    code = "EVENT_NOT_STORED"
    status = 503
    title = "Nothing was stored"


def refused(error: DomainError, *, trace: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The refusal as application/problem+json."""
    document = json.dumps(problem(error, trace=trace)).encode()
    more = {"Retry-After": str(error.extra["retryAfter"])} if "retryAfter" in error.extra else {}
    return Reply(error.status, document, "application/problem+json", {**more, **(headers or {})})


def not_post(method: str) -> DomainError:
    return MethodNotAllowed(f"Events are sent by POST; this was {method[:20]!r}.", next_step="Send the event by POST.")


def too_large(size: str) -> DomainError:
    return BodyTooLarge(
        f"An event may have {BODY_BYTES_MAX:,} bytes; this body has {size}.",
        next_step="Send less in one event. A repeat of the same body is refused again.",
    )


def encoded(encoding: str) -> DomainError:
    return UnsupportedMediaType(
        f"The body has Content-Encoding {encoding[:40]!r}.",
        next_step="Send the bytes that were signed, not compressed.",
    )


def wrong_type(kind: str) -> DomainError:
    return UnsupportedMediaType(
        f"The body is of type {kind[:100]!r}; an event is JSON.", next_step="Send Content-Type: application/json."
    )


def wrong_length(text: str) -> DomainError:
    return BodyIncomplete(
        f"Content-Length is {text[:40]!r}, which is no number of bytes.", next_step="Send the event again."
    )


def incomplete() -> DomainError:
    return BodyIncomplete("The connection ended before the body did.", next_step="Send the event again.")


def too_slow() -> DomainError:
    return BodyTooSlow(f"A body has {BODY_SECONDS_MAX:.0f} seconds to arrive.", next_step="Send the event again.")


def no_page() -> DomainError:
    return NotFound("There is nothing at this address.", next_step=f"Events are taken at {PATH}.")


def unknown() -> DomainError:
    return NotFound(
        "There is no endpoint at this address.",
        next_step=f"Copy the address of the endpoint, {PATH}, from its page in the console.",
    )


def retired() -> DomainError:
    return EndpointRetired(
        "This endpoint was deleted and takes no more events.", next_step="Remove it at the sender and stop sending."
    )


def disabled() -> DomainError:
    return EndpointDisabled(
        "This endpoint is switched off. Nothing was stored.",
        next_step="Keep the event and send it again: the endpoint may be switched on.",
        retryAfter=DISABLED_RETRY_SECONDS,
    )


def not_believed(reason: str, sentence: str, scheme: str) -> DomainError:
    return SignatureNotBelieved(
        f"{sentence} This endpoint believes {scheme}. Nothing was stored.",
        next_step="Check secret and scheme on the endpoint's page, and sign the raw bytes right before sending.",
        reason=reason,
    )


def not_stored(sentence: str = "The event could not be stored just now, and is not acknowledged.") -> DomainError:
    return NotStored(sentence, next_step="Send the same event again.", retryAfter=BUSY_RETRY_SECONDS)
