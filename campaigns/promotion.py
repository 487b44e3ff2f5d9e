"""From one environment of a project to the other: definitions are copied, people never, and a copy is not linked."""

from datetime import datetime
from typing import Final

from campaigns import templates
from campaigns.models import Template
from lamba_campaigns.lib.errors import NotFound
from projects.access import Access, scope_of
from projects.models import Environment
from projects.scoping import Scope

COPYABLE_MAX: Final = 50


def other_scope(*, scope: Scope) -> Scope | None:
    """The sandbox of a production environment, and the other way round."""
    found = (
        Environment.objects.select_related("project__workspace")
        .filter(project_id=scope.project_id)
        .exclude(pk=scope.environment_id)
        .first()
    )
    return scope_of(found) if found else None


def copyable_templates(*, scope: Scope) -> list[Template]:
    """Published templates of the other environment."""
    other = other_scope(scope=scope)
    if other is None:
        return []
    rows = Template.objects.within(other).filter(status=Template.Status.ACTIVE, latest_number__gt=0)
    return list(rows.order_by("name")[:COPYABLE_MAX])


def copy_template(*, scope: Scope, access: Access, template_id: str, now: datetime) -> Template:
    """A new template here with the newest words from there, unpublished. Membership covers both environments."""
    other = other_scope(scope=scope)
    if other is None:
        raise NotFound("This project has no other environment.")
    source = templates.find(scope=other, template_id=template_id)
    message = templates.current(scope=other, template=source)
    return templates.create(
        scope=scope, actor=access.actor, name=source.name, message=message, publish_it=False, now=now
    )
