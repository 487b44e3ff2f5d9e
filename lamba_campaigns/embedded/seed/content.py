"""What the demo's operators wrote: templates and audiences."""

from dataclasses import dataclass
from typing import Any

from campaigns.templates import Message


@dataclass(frozen=True, slots=True)
class TemplateText:
    name: str
    message: Message


@dataclass(frozen=True, slots=True)
class AudienceText:
    name: str
    description: str
    rule: dict[str, Any]


NEWS = TemplateText(
    "Product news",
    Message(
        subject="{{ person.given_name | default: 'Hello' }}, the new editor is here",
        preheader="Faster, calmer, and your documents are where you left them.",
        body="""# The new editor is here

Hello {{ person.given_name | default: 'there' }},

after a year of work the new editor is ready for everybody. It opens large documents in a blink, and
everything you wrote is where you left it.

- **Write together** without waiting for each other
- **See every change**, and take it back
- **Your keyboard** does what you expect

[Open the editor](button:https://app.acme.example/editor)

{% if person.traits.company %}Everybody at {{ person.traits.company }} has it from today.{% endif %}

Mara and the team at Acme
""",
    ),
)
TRIAL = TemplateText(
    "Trial ends soon",
    Message(
        subject="Your trial ends in a few days",
        preheader="Keep what you have made, or take it with you.",
        body="""Hello {{ person.given_name | default: 'there' }},

your trial of Acme ends in a few days. Whatever you decide, your documents stay yours: you can go on with them on
any plan, or download all of them.

[Choose a plan](button:https://app.acme.example/plans)

Questions? Just answer this mail; a person reads it.
""",
    ),
)
RENEWAL = TemplateText(
    "Plan renewal",
    Message(
        subject="Your {{ person.plan | default: 'Acme' }} plan renews next week",
        preheader="Nothing to do if all is well.",
        body="""Hello {{ person.given_name | default: 'there' }},

your plan renews **next week**. There is nothing to do if all is well.

{% if person.country == 'DE' %}The invoice will show German VAT.{% endif %}

[See your plan](button:https://app.acme.example/plan)
""",
    ),
)
SEEN = AudienceText(
    "Customers seen this month",
    "For news that matters to people who are with us.",
    {
        "all": [
            {"field": "lifecycle", "op": "is", "value": "customer"},
            {"field": "last_session", "op": "within_last", "value": 30},
        ]
    },
)
TRIALS = AudienceText(
    "Trials that went quiet",
    "In trial, and not seen for a week.",
    {
        "all": [
            {"field": "lifecycle", "op": "is", "value": "trial"},
            {"field": "last_session", "op": "more_than_ago", "value": 7},
        ]
    },
)
BETA = AudienceText(
    "Beta testers and big teams",
    "People who want to hear of new things first.",
    {
        "any": [
            {"field": "segment", "op": "is", "value": "beta-testers"},
            {"field": "trait.seats", "type": "number", "op": "at_least", "value": 20},
        ],
    },
)
AT_RISK = AudienceText(
    "About to leave",
    "Customers at risk whom we have not written to lately; administrators only.",
    {
        "all": [
            {"field": "lifecycle", "op": "is", "value": "churn_risk"},
            {"field": "role", "op": "is_one_of", "value": ["admin", "billing"]},
            {"none": [{"field": "last_contacted", "op": "within_last", "value": 14}]},
        ]
    },
)
EVERYBODY = AudienceText(
    "Every active member",
    "",
    {"all": [{"field": "membership", "op": "is", "value": "active"}]},
)
TEMPLATES = (NEWS, TRIAL, RENEWAL)
AUDIENCES = (SEEN, TRIALS, BETA, AT_RISK)
