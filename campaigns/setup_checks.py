"""Checks of what was set up: where it sends from, by which channel, and with which template."""

from collections.abc import Sequence
from typing import Final

from audiences.models import Person
from campaigns import templates
from campaigns.checks import Check, Fix
from campaigns.models import Campaign, Template, TemplateVersion
from delivery import connections
from limits.keys import CHANNEL_LABELS
from projects.models import Environment
from projects.scoping import Scope

_CHOOSE: Final = Fix("edit", "Choose a template", "campaigns.write", {"section": "template"}, primary=True)


def scoped(scope: Scope) -> Check:
    return Check("scope", "Project scope", "pass", f"{scope.project_name} / {scope.environment.capitalize()}")


def sender(scope: Scope, campaign: Campaign) -> Check:
    if campaign.channel != "email":
        return Check("sender", "Sender", "pass", "that of the channel")
    row = Environment.objects.only("sender_name", "sender_address").get(pk=scope.environment_id)
    if row.sender_address:
        return Check("sender", "Sender", "pass", row.sender_address)
    fix = Fix("settings", "Set the sender", "settings.manage", {"section": "sender"})
    return Check("sender", "Sender", "block", "No sender address is set for this environment.", fixes=(fix,))


def channel(scope: Scope, campaign: Campaign, plan_name: str, plan_fixes: Sequence[Fix] | None) -> Check:
    """`plan_fixes` None: the plan has the channel."""
    label = CHANNEL_LABELS.get(campaign.channel, campaign.channel)
    if plan_fixes is not None:
        detail = f"{label} is not part of the {plan_name} plan."
        return Check("channel", "Channel on plan", "block", detail, fixes=plan_fixes)
    if not connections.is_connected(scope=scope, channel=campaign.channel):
        connect = Fix("settings", f"Connect {label}", "settings.manage", {"section": "channels"}, primary=True)
        choose = Fix("edit", "Choose another channel", "campaigns.write", {"section": "channel"})
        detail = f"{label} has no connection in this environment."
        return Check("channel", "Channel on plan", "block", detail, fixes=(connect, choose))
    return Check("channel", "Channel on plan", "pass", f"{label}, {plan_name}")


def template(scope: Scope, campaign: Campaign, person: Person | None) -> Check:
    """The message is filled for `person`, somebody of the audience, or for a sample where there is nobody."""
    version = campaign.template_version
    if version is None:
        return Check("template", "Template", "todo", "Not chosen yet.", fixes=(_CHOOSE,))
    wrong = _wrong("template", "Template", scope, version, person)
    if wrong:
        return wrong
    template, count = version.template, len(version.variables)
    words = f"v{version.number}, {count} variable{'' if count == 1 else 's'}"
    if version.number < template.latest_number:
        newer = Fix("newer_version", f"Use v{template.latest_number}", "campaigns.write")
        detail = f"{template.name} v{version.number} is chosen; v{template.latest_number} is published."
        return Check("template", "Template", "warn", detail, fixes=(newer,))
    return Check("template", "Template", "pass", words)


def split(scope: Scope, campaign: Campaign, person: Person | None) -> list[Check]:
    """The second message of an A/B split must be as whole as the first."""
    version = campaign.split_version
    if version is None:
        return []
    wrong = _wrong("split", "Message B", scope, version, person)
    detail = f"{version.template.name} v{version.number} to {campaign.split_percent or 0} %"
    return [wrong or Check("split", "Message B", "pass", detail)]


def _wrong(key: str, label: str, scope: Scope, version: TemplateVersion, person: Person | None) -> Check | None:
    """What keeps this message from being sent."""
    template = version.template
    if template.status == Template.Status.ARCHIVED:
        return Check(key, label, "block", f"{template.name} is archived.", fixes=(_CHOOSE,))
    found = templates.lint(scope=scope, message=version, person=person)
    wrong = [each for each in found if each.severity == "error" and each.pointer != "#/from_address"]
    if not wrong:
        return None
    open_it = Fix("publish", "Open the template", "templates.write", {"template": template.public_id})
    return Check(key, label, "block", wrong[0].placed, fixes=(open_it, _CHOOSE))
