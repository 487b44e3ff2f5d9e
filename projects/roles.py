"""Who may do what: one table. Roles are Lamba's, plus `operator` for the people who run campaigns and nothing else."""

from typing import Final, Literal, get_args

Permission = Literal[
    "console.read",  # see every page of an environment
    "people.read",  # see names and addresses
    "people.write",  # import and change people, segments
    "people.export",  # download people, recipients, books
    "people.erase",
    "audiences.write",
    "templates.write",
    "campaigns.write",  # create and edit drafts
    "campaigns.launch",  # launch, schedule, pause, resume, cancel
    "delivery.repair",  # retry failed, resolve uncertain messages
    "suppressions.write",
    "webhooks.manage",
    "events.read",
    "audit.read",
    "limits.read",
    "billing.manage",  # change plan and add-ons, accept overage
    "members.manage",
    "keys.manage",
    "settings.manage",
]
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)
Role = Literal["owner", "admin", "developer", "billing", "support", "analyst", "viewer", "operator"]

_READ: Final[frozenset[Permission]] = frozenset({"console.read", "limits.read"})
_OPERATE: Final[frozenset[Permission]] = frozenset(
    {
        "people.read",
        "people.write",
        "people.export",
        "audiences.write",
        "templates.write",
        "campaigns.write",
        "campaigns.launch",
        "delivery.repair",
        "suppressions.write",
        "events.read",
        "audit.read",
    }
)
ROLES: Final[dict[Role, frozenset[Permission]]] = {
    "owner": frozenset(PERMISSIONS),
    "admin": frozenset(PERMISSIONS) - {"billing.manage"},
    "operator": _READ | _OPERATE,
    "developer": _READ
    | {
        "people.read",
        "audiences.write",
        "templates.write",
        "campaigns.write",
        "webhooks.manage",
        "events.read",
        "keys.manage",
    },
    "support": _READ | {"people.read", "suppressions.write", "events.read", "audit.read"},
    "analyst": _READ | {"people.read", "people.export", "audiences.write", "audit.read"},
    "billing": _READ | {"billing.manage", "audit.read"},
    "viewer": _READ,
}
ROLE_CHOICES: Final = [(role, role.capitalize()) for role in ROLES]
ROLE_WORDS: Final[dict[Role, str]] = {
    "owner": "everything, plan and members included",
    "admin": "everything but the plan",
    "developer": "templates, audiences, drafts, webhooks and keys; no launch",
    "billing": "plan, limits and audit trail",
    "support": "people, suppressions and events",
    "analyst": "audiences and exports",
    "viewer": "may look, nothing else",
    "operator": "runs campaigns from audience to closed books",
}
PERMISSION_GROUPS: Final[dict[str, dict[Permission, str]]] = {
    "Campaigns": {
        "campaigns.write": "Create and edit drafts",
        "campaigns.launch": "Launch, schedule, pause, resume, cancel",
        "templates.write": "Create and publish templates",
        "delivery.repair": "Retry failed and resolve uncertain messages",
    },
    "People": {
        "people.read": "See names and addresses",
        "people.write": "Import and change people and segments",
        "people.export": "Download people, recipients and books",
        "people.erase": "Erase people",
        "audiences.write": "Create and edit audiences",
        "suppressions.write": "Suppress and release addresses",
    },
    "Evidence": {
        "console.read": "Read campaigns, audiences and templates",
        "events.read": "Read events",
        "audit.read": "Read the audit trail",
        "limits.read": "Read plan and limits",
    },
    "Project": {
        "webhooks.manage": "Manage webhook endpoints",
        "billing.manage": "Change plan and add-ons, accept overage",
        "members.manage": "Manage members",
        "keys.manage": "Manage API keys",
        "settings.manage": "Change settings",
    },
}
