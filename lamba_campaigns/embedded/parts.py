"""The processes of the product itself, as the supervisor runs them; production runs the same commands."""

import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

from lamba_campaigns.embedded.folder import PROJECT
from lamba_campaigns.embedded.ports import LOOPBACK
from lamba_campaigns.embedded.supervisor import Part

WEB_THREADS = 8
WEB_WAITING = 64  # requests in hand or waiting for a thread; more wait in the kernel
WORKER_PROCESSES = 2
WORKERS = {"delivery": "delivery,resolve", "control": "control,webhooks,sweeps"}  # name -> queues
RANK_FIRST, RANK_CAPTURE = 10, 40  # capture goes on until the workers have handed over what they hold
_NOISE = ("Configuration allows spawning", "WARNING django.request", "Warm shutdown", "Cold shutdown")
WORKER_STOP_SECONDS = 15  # a batch in hand is finished; a lease covers one that is not


def web(*, host: str, port: int, environment: Mapping[str, str]) -> Part:
    options = ("--interface", "wsgi", "--host", host, "--port", str(port), "--blocking-threads", str(WEB_THREADS))
    command = _python(
        "granian",
        *options,
        "--backpressure",
        str(WEB_WAITING),
        "--log-level",
        "warning",
        "--no-ws",
        "lamba_campaigns.wsgi:application",
    )
    return _part("web", command, environment, "granian", RANK_FIRST)


def ingest(*, host: str, port: int, environment: Mapping[str, str]) -> Part:
    options = ("--host", host, "--port", str(port), "--log-level", "warning", "--no-access-log")
    command = _python("uvicorn", "webhooks.asgi:application", *options)
    return _part("ingest", command, environment, "uvicorn", RANK_FIRST)


def capture(*, environment: Mapping[str, str]) -> Part:
    command = (sys.executable, str(PROJECT / "manage.py"), "capture_mail")
    return _part("capture", command, environment, "capture_mail", RANK_CAPTURE)


def beat(*, environment: Mapping[str, str]) -> Part:
    command = _python("celery", "--quiet", "-A", "lamba_campaigns", "beat", "--loglevel", "WARNING", "--pidfile=")
    return _part("beat", command, environment, "celery", RANK_FIRST)


def worker(*, name: str, environment: Mapping[str, str]) -> Part:
    options = ("-Q", WORKERS[name], "-c", str(WORKER_PROCESSES), "-n", f"{name}@%h", "--loglevel", "WARNING")
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")  # nobody here listens to them
    command = _python("celery", "--quiet", "-A", "lamba_campaigns", "worker", *options, *alone)
    return _part(name, command, environment, "celery", RANK_FIRST, stop_seconds=WORKER_STOP_SECONDS)


def _part(
    name: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    mark: str,
    stop_rank: int,
    stop_seconds: float = 10,
) -> Part:
    return Part(name, command, environment, mark, stop_rank, folder=PROJECT, stop_seconds=stop_seconds, shown=_is_news)


def _python(module: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *options)


def _is_news(line: str) -> bool:
    return bool(line) and line != "ready" and not any(noise in line for noise in _NOISE)


def answers_http(port: int) -> bool:
    """A server answers there with anything but a failure of its own."""
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
