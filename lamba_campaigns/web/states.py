"""Every state a badge can show: one word, one tone, one icon. Colour is never the only signal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tone = Literal["ok", "warn", "bad", "info", "live", "neutral", "todo"]


@dataclass(frozen=True, slots=True)
class State:
    """How a state looks: `tone` picks the colour, `icon` is a Lucide name, `label` is the word."""

    label: str
    tone: Tone
    icon: str


_STATES: dict[str, State] = {}


def register_states(states: Mapping[str, tuple[str, Tone, str]]) -> None:
    """Add states: `{"paused": ("Paused", "warn", "circle-pause")}`. One word keeps one look everywhere."""
    for name, look in states.items():
        state = State(*look)
        known = _STATES.setdefault(name, state)
        assert known == state, f"The state {name!r} already looks like {known}; give the new one a name of its own."


def look_of(state: str) -> State:
    """The look of a state; an unknown one is neutral and shows its own name."""
    return _STATES.get(state) or State(state.replace("_", " ").capitalize(), "neutral", "circle")


register_states(
    {
        # campaigns
        "draft": ("Draft", "neutral", "pencil-line"),
        "scheduled": ("Scheduled", "info", "calendar-clock"),
        "launching": ("Launching", "live", "rocket"),
        "sending": ("Sending", "live", "send"),
        "pausing": ("Pausing", "warn", "circle-pause"),
        "paused": ("Paused", "warn", "circle-pause"),
        "cancelling": ("Cancelling", "warn", "ban"),
        "cancelled": ("Cancelled", "neutral", "ban"),
        "completed": ("Completed", "ok", "circle-check"),
        "completed_with_exceptions": ("Completed with exceptions", "warn", "circle-alert"),
        "failed": ("Failed", "bad", "octagon-x"),
        "finished": ("Finished", "ok", "circle-check"),
        # template and audience versions
        "published": ("Published", "ok", "circle-check"),
        "archived": ("Archived", "neutral", "archive"),
        # messages, as the ledger names its accounts
        "excluded": ("Excluded", "neutral", "shield-off"),
        "pending": ("Waiting", "neutral", "hourglass"),
        "in_flight": ("In flight", "live", "send"),
        "uncertain": ("Uncertain", "warn", "circle-question-mark"),
        "accepted": ("Accepted", "info", "check"),
        "deferred": ("Deferred", "warn", "rotate-cw"),
        "delivered": ("Delivered", "ok", "circle-check"),
        "bounced": ("Bounced", "bad", "undo-2"),
        "rejected": ("Rejected", "bad", "octagon-x"),
        "complained": ("Complained", "bad", "flag"),
        "unsubscribed": ("Unsubscribed", "neutral", "mail-minus"),
        "suppressed": ("Suppressed", "neutral", "shield-off"),
        "captured": ("Captured", "info", "inbox"),
        # events in and out
        "received": ("Received", "neutral", "inbox"),
        "processing": ("Processing", "live", "loader-circle"),
        "processed": ("Processed", "ok", "circle-check"),
        "ignored": ("Ignored", "neutral", "circle-slash"),
        "quarantined": ("Quarantined", "bad", "shield-alert"),
        "retry": ("Retrying", "warn", "rotate-cw"),
        "parked": ("Parked", "bad", "circle-parking"),
        "duplicate": ("Already seen", "neutral", "copy-check"),
        "exhausted": ("Gave up", "bad", "octagon-x"),
        # imports, checks and breaks
        "queued": ("Queued", "neutral", "hourglass"),
        "running": ("Running", "live", "loader-circle"),
        "refused": ("Refused", "bad", "octagon-x"),
        "open": ("Open", "bad", "circle-alert"),
        "resolved": ("Resolved", "ok", "circle-check"),
        "balanced": ("Balanced", "ok", "scale"),
        "verified": ("Verified", "ok", "shield-check"),
        "broken": ("Broken", "bad", "shield-x"),
        # keys, endpoints, people
        "live": ("Live", "ok", "circle-check"),
        "active": ("Active", "ok", "circle-check"),
        "invited": ("Invited", "info", "mail"),
        "suspended": ("Suspended", "warn", "circle-pause"),
        "removed": ("Removed", "neutral", "user-x"),
        "unknown": ("Unknown", "neutral", "circle-question-mark"),
        "expired": ("Expired", "neutral", "clock-alert"),
        "revoked": ("Revoked", "bad", "ban"),
        "disabled": ("Disabled", "neutral", "circle-slash"),
        "enabled": ("Enabled", "ok", "circle-check"),
        "erased": ("Erased", "neutral", "eraser"),
    }
)
