"""Request rates, counted in Redis by fixed windows. Plan limits are another thing: they answer 402 (see `limits`)."""

import time

from django.core.cache import cache

from lamba_campaigns.lib.errors import DomainError

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class TooManyRequests(DomainError):
    code = "RATE_LIMIT_EXCEEDED"
    status = 429
    title = "Too many requests"


def require_rate(*parts: str, rate: str) -> None:
    """Count one hit for `parts`; TooManyRequests with `retryAfter` seconds over `rate` (`10/minute`)."""
    allowed, _, unit = rate.partition("/")
    seconds = _SECONDS[unit]
    moment = time.time()
    key = f"rate:{unit}:{int(moment // seconds)}:{':'.join(parts)}"
    cache.add(key, 0, timeout=seconds * 2)
    try:
        hits = cache.incr(key)
    except ValueError:  # the cache was emptied between the two calls
        hits = 1
    if hits > int(allowed):
        wait = int(seconds - moment % seconds) + 1
        raise TooManyRequests(
            f"Only {allowed} requests a {unit} are served here.", next_step=f"Wait {wait} seconds.", retryAfter=wait
        )
