"""Channels: their bits in consent_mask, unsubscribed_mask and suppressed_mask, and the address that each one needs.

Addresses are SQL over p (audiences_person) and f (audiences_personfacts). Snapshot and live count read the same two.
"""

from collections.abc import Mapping
from typing import Final, LiteralString

CHANNEL_BITS: Final[Mapping[str, int]] = {"email": 1, "in_app": 2, "sms": 4, "webhook": 8}
ADDRESSES: Final[Mapping[str, LiteralString]] = {
    "email": "p.email",
    "sms": "coalesce(p.traits ->> 'phone', '')",
    "in_app": "p.external_id",
    "webhook": "p.external_id",
}
VALID_ADDRESSES: Final[Mapping[str, LiteralString]] = {
    "email": "f.address_state = 1",
    "sms": "coalesce(p.traits ->> 'phone', '') ~ '^[+][1-9][0-9]{6,14}$'",  # E.164
    "in_app": "TRUE",
    "webhook": "TRUE",
}
SHARED_ADDRESSES: Final[Mapping[str, bool]] = {"email": True, "sms": True, "in_app": False, "webhook": False}
