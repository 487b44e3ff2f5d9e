"""The environment's dictionaries: which number or bit stands for a role, stage, plan or segment, and its label."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audiences.models.segments import Segment
from audiences.models.segments import Vocabulary as VocabularyRow
from audiences.rules.fields import Field, countries
from projects.scoping import Scope

_CHANNELS = {"email": "email", "in_app": "in-app", "sms": "SMS", "webhook": "webhook"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`numbers[kind][name]` as Postgres stores it; `labels[kind][name]` where the name has a better one for people."""

    numbers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def number(self, asked: Field, name: str) -> int | None:
        """The number of a name; None where nobody here has ever had it."""
        return self.numbers_of(asked).get(name)

    def numbers_of(self, asked: Field) -> Mapping[str, int]:
        return self.numbers.get(asked.vocabulary, {}) if asked.vocabulary else asked.numbers

    def choices(self, asked: Field) -> dict[str, str]:
        """Every name that this field accepts, with its label, in the order of labels. Empty for free values."""
        if asked.key == "country":
            return dict(countries())
        if asked.type not in ("choice", "set"):
            return {}
        if not asked.vocabulary:
            return {name: self.label(asked, name) for name in asked.numbers}
        names = {*self.numbers_of(asked), *asked.known}
        return dict(sorted(((name, self.label(asked, name)) for name in names), key=lambda pair: pair[1].casefold()))

    def label(self, asked: Field, name: str) -> str:
        """How a name is shown: `churn_risk` is "Churn risk", `DE` is "Germany"."""
        if asked.key == "country":
            return countries().get(name.upper(), name)
        if asked.key in ("consent", "unsubscribed", "suppressed"):
            return _CHANNELS.get(name, name)
        given = self.labels.get(asked.vocabulary, {}).get(name)
        if given or asked.storage in ("text", "code", "trait"):
            return given or name
        words = name.replace("_", " ").replace("-", " ").strip()
        return words[:1].upper() + words[1:]


NO_VOCABULARY = Vocabulary()


def load(scope: Scope) -> Vocabulary:
    """The dictionaries of one environment. Two queries."""
    numbers: dict[str, dict[str, int]] = {}
    for kind, name, number in VocabularyRow.objects.within(scope).values_list("kind", "name", "number"):
        numbers.setdefault(kind, {})[name] = number
    segments = dict(Segment.objects.within(scope).values_list("slug", "name"))
    return Vocabulary(numbers, {"segment": segments})
