"""What every request carries: a trace id, the caller's address, and the environment for the log line."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from lamba_campaigns.lib.ids import new_id

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_context: ContextVar[dict[str, str]] = ContextVar("request_context", default={})  # noqa: B039 - replaced, never changed


class RequestContextMiddleware:
    """Sets `request.trace_id` (Lamba's X-Correlation-Id where it is sane, else fresh) and returns it as X-Trace-Id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        trace = trace_of(request.headers.get("X-Correlation-Id", ""))
        request.trace_id = trace  # type: ignore[attr-defined]
        token = _context.set({"trace": trace})
        try:
            response = self.get_response(request)
        finally:
            _context.reset(token)
        response.headers["X-Trace-Id"] = trace
        return response


class ContextFilter(logging.Filter):
    """Puts trace and environment on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = _context.get()
        record.trace = context.get("trace", "-")
        record.environment = context.get("environment", "-")
        return True


def note_environment(path: str) -> None:
    """From here on, log lines of this request or task name the environment (`workspace/project/environment`)."""
    _context.set({**_context.get(), "environment": path})


def trace_of(correlation_id: str) -> str:
    """The caller's own X-Correlation-Id where it is sane, else a fresh id."""
    return correlation_id if _CORRELATION_ID.fullmatch(correlation_id) else new_id("req")


def trace_id(request: HttpRequest) -> str:
    return str(getattr(request, "trace_id", ""))


def client_ip(request: HttpRequest) -> str:
    """The peer's address; behind our own proxy the right-most X-Forwarded-For entry, which that proxy wrote."""
    if settings.SECURE_PROXY_SSL_HEADER:
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
        if forwarded:
            return forwarded[:45]
    return str(request.META.get("REMOTE_ADDR", ""))
