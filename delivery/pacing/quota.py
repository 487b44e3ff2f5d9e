"""How many may leave: of a day's wave, of the messages a domain takes in a minute. Arithmetic only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

BURST = timedelta(seconds=1)  # what a domain may catch up with at once, or one message where that takes longer


def wave_of(taken: Mapping[date, int], today: date) -> int:
    """The number of today's wave, from 1: days on which nobody was contacted do not count."""
    return 1 + sum(1 for day, count in taken.items() if day < today and count)


def wave_size(waves: tuple[int, ...], number: int) -> int | None:
    """How many people the wave takes; None behind the last, which has no limit."""
    return waves[number - 1] if number <= len(waves) else None


def left_today(waves: tuple[int, ...], taken: Mapping[date, int], today: date) -> int | None:
    """How many may still be contacted today; None for as many as there are."""
    size = wave_size(waves, wave_of(taken, today))
    return None if size is None else max(0, size - taken.get(today, 0))


@dataclass(slots=True)
class Bucket:
    """One domain. `paced_until`: up to when its rate is used up. `queued_until`: up to when turns are given out."""

    paced_until: datetime
    queued_until: datetime

    def take(self, rate: int, now: datetime) -> bool:
        """Whether one message may leave now; it is counted."""
        gap = timedelta(minutes=1) / rate
        start = max(self.paced_until, now - max(BURST, gap))
        if start + gap > now:
            return False
        self.paced_until = start + gap
        return True

    def queue(self, rate: int, now: datetime) -> datetime:
        """The turn of one message that may not leave now: behind everybody who has one."""
        gap = timedelta(minutes=1) / rate
        self.queued_until = max(self.queued_until, self.paced_until, now) + gap
        return self.queued_until
