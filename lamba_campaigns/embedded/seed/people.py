"""Made-up people, told as Lamba tells of them: some events each, spread over the past months. Always the same."""

import csv
import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_GIVEN = [
    "Maja",
    "Luca",
    "Ines",
    "Oskar",
    "Zoë",
    "Lena",
    "Ivo",
    "Wanjiru",
    "Aylin",
    "Mateo",
    "Priya",
    "Jonas",
    "Chiara",
    "Emre",
    "Freya",
    "Noor",
    "Tomás",
    "Saoirse",
    "Kenji",
    "Amara",
    "Elif",
    "Hugo",
    "Leila",
    "Anton",
    "Sofía",
    "Mikkel",
    "Nadia",
    "Rafael",
    "Yuki",
    "Ada",
    "Björn",
    "Camille",
    "Dario",
    "Esther",
    "Farid",
    "Greta",
    "Hana",
    "Idris",
    "Jana",
    "Kwame",
]
_FAMILY = [
    "Silva",
    "Tanaka",
    "Adeyemi",
    "Kim",
    "Jensen",
    "Kaya",
    "Berg",
    "Olsen",
    "Novak",
    "Rossi",
    "Haddad",
    "Weber",
    "Okafor",
    "Lindqvist",
    "Moreau",
    "Byrne",
    "Costa",
    "Demir",
    "Fischer",
    "Nakamura",
    "Mensah",
    "Petrov",
    "García",
    "Schmidt",
    "Dubois",
    "Andersson",
    "Ferrari",
    "Mwangi",
    "Sato",
    "Keller",
    "O'Brien",
    "Santos",
    "Vogel",
    "Nielsen",
]
_COMPANIES = (
    "Quarry Labs",
    "Northwind",
    "Brightleaf",
    "Orchardly",
    "Tidewater",
    "Fernhill",
    "Lumen Works",
    "Copperfield",
    "Halcyon",
    "Mapleton",
    "Verdant",
    "Stonebridge",
    "Kestrel",
    "Ninefold",
    "Bluepeak",
)
_PLACES = (
    ("DE", "de-DE", "Europe/Berlin", 26),
    ("GB", "en-GB", "Europe/London", 16),
    ("FR", "fr-FR", "Europe/Paris", 14),
    ("US", "en-US", "America/New_York", 13),
    ("SE", "sv-SE", "Europe/Stockholm", 8),
    ("ES", "es-ES", "Europe/Madrid", 8),
    ("IT", "it-IT", "Europe/Rome", 7),
    ("JP", "ja-JP", "Asia/Tokyo", 5),
    ("BR", "pt-BR", "America/Sao_Paulo", 3),
)
_STAGES = (("trial", 22), ("activated", 24), ("customer", 44), ("churn_risk", 10))
_PLANS = {"trial": "trial", "activated": "starter", "customer": "team", "churn_risk": "team"}
_SEGMENTS = (("beta-testers", 0.12), ("newsletter", 0.55), ("webinar-october", 0.08))
SEED = 20261123


@dataclass(frozen=True, slots=True)
class Told:
    """One event, before it is an envelope."""

    id: str
    type: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up. `seen` is their last session, `withdrew` when they took their consent back."""

    number: int
    user: str
    given: str
    family: str
    email: str
    place: tuple[str, str, str]  # country, locale, time zone
    company: str
    seats: int
    membership: str
    role: str
    stage: str
    consents: bool
    segments: tuple[str, ...]
    joined: datetime
    staged: datetime
    withdrew: datetime | None
    seen: datetime


COLUMNS = (
    *("external_id", "email", "name", "given_name", "family_name", "locale", "time_zone", "country", "membership"),
    *("roles", "lifecycle", "plan", "consent.email", "segments", "trait.company", "trait.seats:number"),
)


def made_up(*, workspace: str, count: int, now: datetime) -> list[Person]:
    """`count` people as they are at `now`; the same ones whenever it is asked."""
    chance = random.Random(f"{SEED}-{workspace}")  # noqa: S311 - made-up people, not a secret
    return [_person(chance, workspace, number, now) for number in range(count)]


def csv_of(people: Iterable[Person]) -> bytes:
    """The people as a file that can be imported."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    lines.writerows(_row(person) for person in people)
    return text.getvalue().encode()


def joining(person: Person) -> Iterator[Told]:
    """What Lamba told when this person came, and until they were what they are."""
    user = {"userId": person.user}
    yield _told(person, "user.created", user | _profile(person), person.joined)
    roles = ["member"] + [person.role] * (person.role != "member")
    yield _told(person, "membership.created", user | {"state": person.membership, "roles": roles}, person.joined)
    yield _told(person, "lifecycle.changed", user | {"stage": person.stage}, person.staged)
    yield _told(person, "plan.changed", user | {"plan": _PLANS[person.stage]}, person.staged)
    if person.consents:
        yield _told(person, "consent.changed", user | {"channel": "email", "granted": True}, person.joined)
    for slug in person.segments:
        yield _told(person, "segment.entered", user | {"segment": slug}, person.staged)


def lately(person: Person) -> Iterator[Told]:
    """What Lamba told of somebody who is known: they came back; they want no more mail."""
    user = {"userId": person.user}
    yield _told(person, "session.created", user | {"sessionId": f"ses_{person.user}"}, person.seen)
    if person.withdrew:
        yield _told(person, "consent.changed", user | {"channel": "email", "granted": False}, person.withdrew)


def _told(person: Person, type: str, data: dict[str, Any], at: datetime) -> Told:
    what = "-".join([type, *(str(data[key]) for key in ("segment", "granted") if key in data)])
    return Told(f"evt_demo_{person.user}_{what}", type, data, at)


def _person(chance: random.Random, workspace: str, number: int, now: datetime) -> Person:
    joined = now - timedelta(days=chance.uniform(2, 420))
    stage = _pick(chance, _STAGES)
    given, family, company = chance.choice(_GIVEN), chance.choice(_FAMILY), chance.choice(_COMPANIES)
    who = "office" if chance.random() < 0.006 else f"{_plain(given)}.{_plain(family)}{number}"  # some share an address
    quiet = timedelta(days=chance.expovariate(1 / (45 if stage == "churn_risk" else 12)), minutes=1)
    consents = chance.random() < 0.91
    return Person(
        number=number,
        user=f"usr_{workspace}_{number:05d}",
        given=given,
        family=family,
        email=f"{who}@{_plain(company)}.example" if chance.random() < 0.985 else "",
        place=_pick(chance, tuple((place[:3], place[3]) for place in _PLACES)),
        company=company,
        seats=int(chance.paretovariate(1.1)),
        membership=_pick(chance, (("active", 940), ("invited", 20), ("suspended", 15), ("removed", 25))),
        role=_pick(chance, (("member", 80), ("admin", 12), ("billing", 8))),
        stage=stage,
        consents=consents,
        segments=tuple(slug for slug, share in _SEGMENTS if chance.random() < share),
        joined=joined,
        staged=_between(chance, joined, now),
        withdrew=_between(chance, now - timedelta(days=30), now) if consents and chance.random() < 0.03 else None,
        seen=max(joined, now - quiet),
    )


def _profile(person: Person) -> dict[str, Any]:
    country, locale, zone = person.place
    profile = {
        "name": f"{person.given} {person.family}",
        "givenName": person.given,
        "familyName": person.family,
        "locale": locale,
        "timeZone": zone,
        "country": country,
        "traits": {"company": person.company, "seats": person.seats},
    }
    return profile | ({"email": person.email} if person.email else {})


def _row(person: Person) -> list[str]:
    country, locale, zone = person.place
    return [
        *(person.user, person.email, f"{person.given} {person.family}", person.given, person.family),
        *(locale, zone, country, person.membership),
        "member" if person.role == "member" else f"member;{person.role}",
        *(person.stage, _PLANS[person.stage], "true" if person.consents else "false"),
        *(";".join(person.segments), person.company, str(person.seats)),
    ]


def _pick(chance: random.Random, weighted: Any) -> Any:
    values, weights = zip(*weighted, strict=True)
    return chance.choices(values, weights)[0]


def _between(chance: random.Random, first: datetime, last: datetime) -> datetime:
    return first + (last - first) * chance.random()


def _plain(name: str) -> str:
    """Lower-case ASCII letters of a name, for an address."""
    table = str.maketrans("ëöéóáíãçñü", "eoeoaiacnu")
    return "".join(each for each in name.lower().translate(table) if each.isascii() and each.isalpha())
