"""A template as its page opens it: everything about it in one question."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from campaigns import templates
from campaigns.message import Message
from campaigns.models import Template, TemplateVersion
from projects.scoping import Scope


@dataclass(frozen=True, slots=True)
class Opened:
    """A template with its versions, newest first, and the number of campaigns that send one of them."""

    template: Template
    versions: Sequence[TemplateVersion]
    campaigns: int

    def message(self, scope: Scope) -> Message:
        """What the editor opens."""
        newest = self.versions[0] if self.versions else None
        return templates.current(scope=scope, template=self.template, newest=newest)


def opened(*, scope: Scope, template_id: str) -> Opened:
    """The template with everything that its page shows, in one question for all but a first draft."""
    rows = TemplateVersion.objects.within(scope).filter(template__public_id=template_id).select_related("template")
    found = list(rows.annotate(used=Count("campaigns")).order_by("-number"))
    template = found[0].template if found else templates.find(scope=scope, template_id=template_id)
    return Opened(template, found, sum(each.used for each in found))
