"""Every action that may stand in the audit trail, with its sentence. An unknown name is a bug, refused by an assertion.

The sentence follows the actor's name: "Alice" + "launched the campaign". `done` and `refused` make both readings.
"""

from typing import Final

ACTIONS: Final[dict[str, str]] = {
    "campaign.created": "created the campaign",
    "campaign.updated": "changed the campaign",
    "campaign.scheduled": "scheduled the campaign",
    "campaign.unscheduled": "unscheduled the campaign",
    "campaign.launched": "launched the campaign",
    "campaign.paused": "paused the campaign",
    "campaign.resumed": "resumed the campaign",
    "campaign.warned": "saw the campaign pass a warn limit",
    "campaign.cancelled": "cancelled the campaign",
    "campaign.completed": "completed the campaign",
    "campaign.failed": "stopped the campaign as failed",
    "campaign.deleted": "deleted the campaign",
    "template.created": "created the template",
    "template.updated": "changed the draft of the template",
    "template.published": "published a template version",
    "template.archived": "archived the template",
    "template.tested": "sent a test of the template",
    "seed_list.changed": "changed a seed list",
    "audience.created": "created the audience",
    "audience.updated": "changed the audience",
    "audience.deleted": "deleted the audience",
    "snapshot.taken": "took a snapshot of the audience",
    "segment.created": "created the segment",
    "segment.updated": "changed the segment",
    "people.imported": "imported people",
    "people.import_cancelled": "cancelled the import of people",
    "people.exported": "exported people",
    "backfill.connected": "changed the access to Lamba's API",
    "backfill.started": "started reading Lamba's members",
    "backfill.finished": "finished reading Lamba's members",
    "backfill.cancelled": "cancelled reading Lamba's members",
    "person.erased": "erased the person",
    "delivery.retried": "retried failed messages",
    "delivery.woken": "made a waiting send job try again",
    "delivery.resolved": "resolved uncertain messages",
    "delivery.auto_paused": "paused the sending by its stop rule",
    "delivery.warned": "passed the warn limit of a stop rule",
    "consent.changed": "changed a consent",
    "suppression.added": "suppressed an address",
    "suppression.removed": "lifted a suppression",
    "suppression.imported": "imported suppressions",
    "topic.created": "created the topic",
    "topic.updated": "changed the topic",
    "topic.archived": "archived the topic",
    "sending.defaults_changed": "changed how campaigns are sent here",
    "channel.connected": "connected the channel",
    "channel.disconnected": "disconnected the channel",
    "limit.refused": "refused a request over a plan limit",
    "limit.overage_accepted": "accepted overage",
    "limit.overage_reserved": "reserved messages over the limit, to be paid",
    "limit.grace_used": "reserved messages over the limit, forgiven by the plan",
    "limit.overridden": "agreed limits for a workspace",
    "catalogue.published": "published a catalogue of plans",
    "limit.counter_repaired": "repaired a usage counter",
    "plan.changed": "changed the plan",
    "addon.changed": "changed the add-ons",
    "webhook.conflict": "kept the first of two events with one id",
    "webhook.quarantined": "quarantined an event",
    "webhook.redriven": "processed an event again",
    "endpoint.created": "created the endpoint",
    "endpoint.updated": "changed the endpoint",
    "endpoint.deleted": "deleted the endpoint",
    "endpoint.tested": "sent a test event to the endpoint",
    "endpoint.replayed": "sent a range of events again to the endpoint",
    "secret.rotated": "rotated the secret",
    "secret.ended": "ended a secret of the endpoint",
    "key.created": "created the API key",
    "key.revoked": "revoked the API key",
    "member.added": "added the member",
    "member.changed": "changed the member",
    "member.removed": "removed the member",
    "settings.changed": "changed the settings",
    "sign_in.succeeded": "signed in",
    "sign_in.failed": "failed to sign in",
    "signed_out": "signed out",
    "export.made": "exported",
    "ledger.sealed": "sealed the ledger",
    "checkpoint.signed": "signed a checkpoint",
    "signing_key.rotated": "took over as the signing key",
    "retention.applied": "removed old contents of the trail",
    "verification.run": "ran a verification",
    "books.closed": "closed the books",
    "statement.issued": "issued the closing statement",
    "report.imported": "imported a provider's report",
    "break.assigned": "took a difference over",
    "break.resolved": "resolved a difference",
}

_INFINITIVES: Final[dict[str, str]] = {
    "kept": "keep",
    "took": "take",
    "ran": "run",
    "made": "make",
    "stopped": "stop",
    "failed": "fail",
    "retried": "retry",
    "cancelled": "cancel",
    "suppressed": "suppress",
    "unscheduled": "unschedule",
    "added": "add",
    "exported": "export",
    "imported": "import",
    "launched": "launch",
    "published": "publish",
    "refused": "refuse",
    "accepted": "accept",
    "repaired": "repair",
    "lifted": "lift",
    "connected": "connect",
    "disconnected": "disconnect",
    "signed": "sign",
    "sealed": "seal",
    "processed": "process",
}


def sentence(action: str, outcome: str = "done") -> str:
    """What follows the actor's name: `launched the campaign`, or `could not launch the campaign` when refused."""
    done = ACTIONS[action]
    if outcome == "done":
        return done
    verb, _, rest = done.partition(" ")
    # every other verb of the table ends in -ed on a stem that ends in e: "paused", "changed", "created"
    return f"could not {_INFINITIVES.get(verb, verb.removesuffix('d'))} {rest}".strip()


def label(action: str) -> str:
    """The filter's wording of an action: `Launched the campaign`."""
    return ACTIONS[action][:1].upper() + ACTIONS[action][1:]
