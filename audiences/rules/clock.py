"""One fixed `now` for a whole evaluation, and what days mean in the project's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is aware. "Within the last 2 days" means today and the two local days before it, up to `now`."""

    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def days_ahead(self, days: int) -> date:
        return self.today + timedelta(days=days)

    def day_after(self, day: date) -> date:
        return day + timedelta(days=1)

    def start_of(self, day: date) -> datetime:
        """The instant at which this local day begins. Where clocks skip midnight, the first instant after the gap."""
        return datetime.combine(day, time(), tzinfo=self.zone).astimezone(UTC)

    def day_of(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()
