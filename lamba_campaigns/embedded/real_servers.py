"""A server that DATABASE_URL or REDIS_URL names answers before anything starts, or the start is refused in words."""

from collections.abc import Mapping

import psycopg
import redis

from lamba_campaigns.embedded.problems import CannotStart

_SECONDS = 5


def require(environment: Mapping[str, str]) -> None:
    """Raises CannotStart for a name that is set and leads nowhere."""
    if database_url := environment.get("DATABASE_URL", ""):
        _require_database(database_url)
    if redis_url := environment.get("REDIS_URL", ""):
        _require_redis(redis_url)


def _require_database(url: str) -> None:
    if not url.startswith(("postgres://", "postgresql://")):
        raise CannotStart(
            "DATABASE_URL names no PostgreSQL. Write it as postgres://user:password@host:5432/name, "
            "or unset DATABASE_URL to use the embedded one."
        )
    try:
        psycopg.connect(url, connect_timeout=_SECONDS).close()
    except psycopg.OperationalError as error:
        raise _unreachable("DATABASE_URL", "PostgreSQL", error) from error
    except psycopg.ProgrammingError:
        pass  # an option that only Django reads


def _require_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS) as client:
            client.ping()
    except ValueError as error:
        raise CannotStart(
            "REDIS_URL names no Redis or Valkey. Write it as redis://host:6379/0, "
            "or unset REDIS_URL to use the embedded Valkey."
        ) from error
    except redis.RedisError as error:
        raise _unreachable("REDIS_URL", "Valkey", error) from error


def _unreachable(name: str, ours: str, error: Exception) -> CannotStart:
    said = tuple(line.strip() for line in str(error).splitlines() if line.strip())
    return CannotStart(
        f"The server that {name} names can't be used. Start it or correct {name}, "
        f"or unset {name} to use the embedded {ours}.",
        said,
    )
