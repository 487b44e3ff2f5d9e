"""Which time counts of something that others tell us: theirs, unless it lies in a future that no clock explains.

The newest time wins everywhere, so a time of next year would win until next year. The bound is made of stored values
alone: told again, in any order and at any later time, the same thing counts from the same moment.
"""

from datetime import datetime, timedelta
from typing import Final

from lamba_campaigns.lib.signing import WINDOW_SECONDS

AHEAD_MAX: Final = timedelta(seconds=WINDOW_SECONDS)  # a sender whose clock is further off is not believed at the door


def is_ahead(claimed: datetime, *, received_at: datetime) -> bool:
    """Whether `claimed` lies further in the future than the sender's clock may be off: then `received_at` counts."""
    return claimed > received_at + AHEAD_MAX
