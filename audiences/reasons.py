"""Why a matched person is left out. Numbers are stored and never change; their order is the order of precedence.

Of all reasons that hold for a person, the first one counts, so that the counts by reason add up to everyone left out.
"""

from collections.abc import Mapping
from typing import Final

INCLUDED: Final = 0
REASONS: Final[Mapping[int, str]] = {
    1: "membership_lost",
    2: "no_address",
    3: "invalid_address",
    4: "duplicate_address",
    5: "no_consent",
    6: "unsubscribed",
    7: "suppressed",
    8: "frequency_cap",
    9: "held_out",
    10: "excluded_list",
    11: "channel_unavailable",
}
NUMBERS: Final[Mapping[str, int]] = {name: number for number, name in REASONS.items()}
LABELS: Final[Mapping[str, str]] = {
    "membership_lost": "No active membership",
    "no_address": "No address",
    "invalid_address": "Invalid address",
    "duplicate_address": "Duplicate address",
    "no_consent": "No consent",
    "unsubscribed": "Unsubscribed",
    "suppressed": "Suppressed",
    "frequency_cap": "Contacted too often",
    "held_out": "Held out",
    "excluded_list": "On an excluded list",
    "channel_unavailable": "Channel not available",
}
SENTENCES: Final[Mapping[str, str]] = {
    "membership_lost": "The membership of the Project is not active.",
    "no_address": "There is no address for this channel.",
    "invalid_address": "The address can't be delivered to: it is not well formed.",
    "duplicate_address": "Another person of this audience has the same address and is kept.",
    "no_consent": "The person has not agreed to be contacted by this channel.",
    "unsubscribed": "The person unsubscribed from this channel, or from the topic of the campaign.",
    "suppressed": "Sending is blocked after a bounce, a complaint or by an operator.",
    "frequency_cap": "The person was contacted as often as is allowed.",
    "held_out": "The person is in the hold-out group.",
    "excluded_list": "The person is on a list that this campaign leaves out.",
    "channel_unavailable": "This channel can't be used here.",
}
