"""Random rules and people, with what breaks such code: unknown values, odd letters, edges of days and of summer time.

A case draws its rule and its people from one small pool, so that values meet: a moment lies on the very midnight that
a condition names, a text differs from another in case alone.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from audiences.rules.fields import ANY_CAMPAIGN, CATALOGUE, CHANNEL_BITS, REACHED_PREFIX, TRAIT_TYPES, Field, find
from audiences.rules.operators import Operator, operators_of
from audiences.rules.vocabulary import Contacted, Nested, Vocabulary

CONTACTS_MONTH = date(2026, 11, 1)

SUBJECTS = ("cmp_spring", "cmp_autumn", "cmp_winter")
NESTED = {
    "aud_germans": {
        "any": [{"field": "country", "op": "is", "value": "DE"}, {"field": "locale", "op": "is", "value": "de"}]
    },
    "aud_active": {"none": [{"field": "session_events", "op": "fewer_times", "value": [2, 7]}]},
    "aud_both": {
        "all": [
            {"field": "audience", "op": "is_one_of", "value": ["aud_active", "aud_germans"]},
            {"field": "opened", "op": "is_not", "value": "cmp_spring"},
        ]
    },
}
VOCABULARY = Vocabulary(
    campaign={
        subject: Contacted(number, CONTACTS_MONTH, subject.removeprefix("cmp_").capitalize())
        for number, subject in enumerate(SUBJECTS, start=901)
    }.get,
    audience={name: Nested(name, 1, rule) for name, rule in NESTED.items()}.get,
    numbers={
        "role": {"owner": 0, "member": 1, "billing_admin": 31, "guest": 62},
        "lifecycle": {"trial": 1, "customer": 2, "churn_risk": 7},
        "plan": {"free": 1, "pro": 2, "größer": 300},
        "segment": {"beta": 0, "vip": 5, "edge": 62, "second-word": 63, "third-word": 130, "last": 251},
    },
    labels={"segment": {"beta": "Beta programme"}},
)
# Midnight is skipped (Cairo, Sao Paulo, Havana), a whole day is (Apia), half an hour is (Lord Howe).
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
EDGE_DAYS = (
    date(2026, 3, 29),  # Berlin, one hour less
    date(2026, 10, 25),  # Berlin, one hour more
    date(2018, 11, 4),  # Sao Paulo has no midnight
    date(2018, 2, 18),  # Sao Paulo has 23:00 twice on the day before
    date(2026, 3, 8),  # New York, and Havana without midnight
    date(2026, 11, 1),  # New York, and Havana with 00:00 twice
    date(2026, 4, 24),  # Cairo without midnight
    date(2011, 12, 31),  # Apia never had the 30th
    date(2026, 4, 5),  # Lord Howe, half an hour more
    date(2024, 2, 29),
)
TEXT_FAMILIES = (
    ("Ana", "ANA", "ana maría", "a", "na"),
    ("Ärger", "ÄRGER", "ärger", "A\u0308rger"),
    ("İstanbul", "istanbul", "ISTANBUL", "\u0131stanbul", "i\u0307stanbul"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος", "σίσυφοσ"),
    ("straße", "STRASSE", "STRAẞE"),
    ("a%b_c", "aXbYc", "a\\b", "a'b"),
    ("🦊 fox", "fox", " fox", "🦊"),
    ("\ufb01ne", "fine", "FINE"),
    ("ǅ", "ǆ", "Ǆ"),
    ("\u212a", "k", "K"),
)
ODD_DATES = ("2026-02-30", "2026-13-01", "yesterday", "0000-01-01", "2026-11-23 09:00", "")
TRAITS = ("seats", "größe", "it's %s")
NUMBERS = (0, 1, 5, 0.1, 0.30000000000000004, 0.3, -0.5, 1e21, 2**53 - 1, 2**53 + 1, 1e-7)


@dataclass(frozen=True)
class Pool:
    """What one case draws from."""

    zone: str
    now: datetime
    days: tuple[date, ...]
    moments: tuple[datetime, ...]
    texts: tuple[str, ...]
    numbers: tuple[int | float, ...]


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    zone = draw(st.sampled_from(ZONES))
    today = draw(st.one_of(st.sampled_from(EDGE_DAYS), st.dates(date(2005, 1, 1), date(2035, 12, 31))))
    now = _midnight(today, zone) + draw(st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(hours=11)]))
    days = (today, *(today + timedelta(days=draw(st.sampled_from([-30, -7, -1, 1, 2, 30]))) for _ in range(3)))
    edges = [now, *(_midnight(day, zone) for day in (*days, *(day + timedelta(days=1) for day in days)))]
    moments = [edge + step for edge in edges for step in _STEPS]
    letters = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"))
    words = st.text(letters, min_size=1, max_size=4).filter(str.strip)
    word = draw(words)
    texts = (*draw(st.sampled_from(TEXT_FAMILIES)), word, word.upper(), word.lower())
    numbers = draw(st.lists(st.one_of(st.sampled_from(NUMBERS), st.floats(-1e6, 1e6)), min_size=2, max_size=4))
    return Pool(zone, now, days, tuple(moments), texts, tuple(numbers))


_STEPS = (timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1), timedelta(hours=1), timedelta(hours=-1))


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def people(pool: Pool) -> st.SearchStrategy[dict[str, Any]]:
    """Column values of one person and of the narrow row, each of them possibly unknown, and what lies in histories."""
    text = st.sampled_from(["", *pool.texts])
    moment = st.sampled_from([None, *pool.moments])
    numbers_of = VOCABULARY.numbers
    person = st.fixed_dictionaries(
        {
            "email": text,
            "name": text,
            "given_name": text,
            "family_name": text,
            "country": st.sampled_from(["", "DE", "FR", "US"]),
            "locale": st.sampled_from(["", "de", "de-AT", "en"]),
            "time_zone": st.sampled_from(["", *ZONES]),
            "traits": st.dictionaries(st.sampled_from((*TRAITS, "loyalty")), _trait_values(pool), max_size=3),
            "created_at": st.sampled_from(pool.moments),
        }
    )
    facts = st.fixed_dictionaries(
        {
            "membership": st.integers(0, 4),
            "lifecycle": st.sampled_from([0, *numbers_of["lifecycle"].values()]),
            "plan": st.sampled_from([0, *numbers_of["plan"].values()]),
            "roles_mask": st.sets(st.sampled_from(list(numbers_of["role"].values()))).map(lambda bits: _mask(bits, 0)),
            "session_count": st.integers(0, 6),
            "lifecycle_at": moment,
            "last_opened_at": moment,
            "last_clicked_at": moment,
            "address_state": st.integers(0, 2),
            "consent_mask": st.integers(0, 15),
            "unsubscribed_mask": st.integers(0, 15),
            "suppressed_mask": st.integers(0, 15),
            "segments": st.sets(st.sampled_from(list(numbers_of["segment"].values()))),
        }
    ).map(_with_segment_words)
    moments = st.lists(st.sampled_from(pool.moments), max_size=4, unique=True)
    stage = st.tuples(st.sampled_from(list(numbers_of["lifecycle"])), st.sampled_from(pool.moments))
    stages = st.lists(stage, max_size=3)
    contact = st.tuples(st.sampled_from(pool.moments), st.booleans(), st.booleans())
    return st.fixed_dictionaries(
        {
            "person": person,
            "facts": facts,
            "sessions": moments,
            "stages": stages,
            "contacts": st.dictionaries(st.sampled_from(SUBJECTS), contact, max_size=3),
        }
    )


def _trait_values(pool: Pool) -> st.SearchStrategy[Any]:
    moments = st.sampled_from(pool.moments)
    return st.one_of(
        st.sampled_from(pool.numbers),
        st.sampled_from(pool.texts),
        st.booleans(),
        st.sampled_from([None, [1], {"a": 1}, *ODD_DATES]),
        st.sampled_from(pool.days).map(date.isoformat),
        st.sampled_from(pool.days).map(lambda day: f"{day}T24:00:00Z"),
        moments.map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
        moments.map(lambda moment: moment.astimezone(ZoneInfo("Asia/Kathmandu")).isoformat()),
    )


def _with_segment_words(facts: dict[str, Any]) -> dict[str, Any]:
    names = ("segments_mask", "segments_mask_1", "segments_mask_2", "segments_mask_3")
    bits = facts.pop("segments")
    return {**facts, **{name: _mask(bits, word) for word, name in enumerate(names)}}


def _mask(bits: set[int], word: int) -> int:
    return sum(1 << bit % 63 for bit in bits if bit // 63 == word)


@st.composite
def conditions(draw: st.DrawFn, pool: Pool) -> dict[str, Any]:
    """One condition as JSON, over any field and any operator that this field has."""
    key = draw(st.sampled_from([*CATALOGUE, *["trait."] * 6, *["reached."] * 3]))
    if key == REACHED_PREFIX:
        key += draw(st.sampled_from(list(VOCABULARY.numbers["lifecycle"])))
    if key == "trait.":
        trait_type = draw(st.sampled_from(TRAIT_TYPES))
        asked = Field("", "", "", trait_type, "trait", "p.traits")
        found: dict[str, Any] = {"field": f"trait.{draw(st.sampled_from(TRAITS))}", "type": trait_type}
    else:
        known = find(key)
        assert known is not None
        asked, found = known, {"field": key}
    chosen = draw(st.sampled_from(operators_of(asked.type)))
    found["op"] = chosen.key
    if chosen.takes != "nothing":
        found["value"] = draw(_value_for(asked, chosen, pool))
    return found


def _value_for(asked: Field, chosen: Operator, pool: Pool) -> st.SearchStrategy[Any]:
    if chosen.takes == "days":
        return st.sampled_from([0, 1, 2, 7, 30, 3650])
    if chosen.takes == "campaign_days":
        within = st.sampled_from([0, 1, 2, 7, 30])
        return st.tuples(st.sampled_from([ANY_CAMPAIGN, *SUBJECTS]), within).map(list)
    if chosen.takes == "times":
        return st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 7, 30])).map(list)
    days = st.sampled_from(pool.days).map(date.isoformat)
    one = days if chosen.takes in ("day", "days_range") else _one(asked, pool)
    if chosen.takes == "many":
        return st.lists(one, min_size=1, max_size=3)
    if chosen.takes in ("range", "days_range"):
        return st.tuples(one, one).map(sorted)
    return one


def _one(asked: Field, pool: Pool) -> st.SearchStrategy[Any]:
    if asked.type == "number":
        return st.sampled_from((*pool.numbers, 1, 2)).filter(lambda number: abs(number) < 2**53)
    if asked.type == "boolean":
        return st.booleans()
    if asked.key == "country":
        return st.sampled_from(["DE", "us", "FR"])
    if asked.key in ("consent", "unsubscribed", "suppressed"):
        return st.sampled_from(list(CHANNEL_BITS))
    if asked.type == "campaigns":
        return st.sampled_from(SUBJECTS)
    if asked.type == "audiences":
        return st.sampled_from(list(NESTED))
    if asked.type in ("choice", "set"):
        return st.sampled_from(list(VOCABULARY.choices(asked)))
    return st.sampled_from((*pool.texts, "de", "Europe/Berlin"))


def rules(pool: Pool) -> st.SearchStrategy[dict[str, Any]]:
    """Whole rules as JSON, up to four groups deep and with up to 24 conditions."""
    leaf = conditions(pool)
    inner = _groups(st.one_of(leaf, _groups(leaf, 1, 2)), 1, 2)
    return st.one_of(
        st.just({"all": []}), _groups(leaf, 4, 24), _groups(st.one_of(leaf, inner, _groups(inner, 1, 2)), 1, 3)
    )


def _groups(node: st.SearchStrategy[dict[str, Any]], low: int, high: int) -> st.SearchStrategy[dict[str, Any]]:
    children = st.lists(node, min_size=low, max_size=high)
    return st.tuples(st.sampled_from(["all", "any", "none"]), children).map(lambda pair: {pair[0]: pair[1]})
