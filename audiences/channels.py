"""Channels and their bits in consent_mask, unsubscribed_mask and suppressed_mask."""

from collections.abc import Mapping
from typing import Final

CHANNEL_BITS: Final[Mapping[str, int]] = {"email": 1, "in_app": 2, "sms": 4, "webhook": 8}
