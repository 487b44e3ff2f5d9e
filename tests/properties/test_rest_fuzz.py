"""Every operation of the OpenAPI document, called with what it takes, then with what nobody should send: never a 5xx,
and every refusal is a problem document. LAMBA_FUZZ_ROUNDS calls each one more often; the same calls every time."""

import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.http import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from campaigns.models import Campaign
from campaigns.tests.conftest import MakeDraft, Postbox

ROUNDS = int(os.environ.get("LAMBA_FUZZ_ROUNDS", "1"))
METHODS = ("get", "put", "patch", "post", "delete")
DEPTH_MAX = 5
PROBLEM = {"type", "title", "status", "detail", "errorCode", "traceId"}
NOT_JSON = ("", "{", "[]", "null", '{"a":1,"a":2}', '{"a":NaN}', '"\\u0000"', "\x00", "[" * 50)
TEXTS = (
    *("", " ", "a", "News", "news", "x" * 10_000, "🦜" * 40, "שלום", "a\x07b", "a\x00b", "\ufffe", "{{ person.x }}"),
    *(
        "{% if",
        "<script>",
        "'; --",
        "%00",
        "../..",
        "now",
        "-1",
        "0",
        "1e9",
        "2026-11-24T08:30:00Z",
        "0001-01-01T00:00:00Z",
    ),
    *(
        "9999-12-31T23:59:59+14:00",
        "2027-02-30",
        "25:61",
        "09:30",
        "Europe/Berlin",
        "de-DE",
        "a@example.com",
        "@",
        "+49",
    ),
    *("https://a.example/hook", "http://127.0.0.1/", "file:///etc/passwd", "email", "sms", "console.read"),
)
NUMBERS = (0, 1, 2, 7, 100, -1, 0.001, 12.345, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0)


@dataclass(frozen=True)
class Operation:
    """One method of one address, with what the document says about it."""

    path: str
    method: str
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def named(self, place: str) -> list[Mapping[str, Any]]:
        return [each for each in self.spec.get("parameters", ()) if each["in"] == place]


class Caller:
    """Draws calls. `ids` are those that lists have shown, by the address of the list."""

    def __init__(self, document: Mapping[str, Any], ids: Mapping[str, list[str]]) -> None:
        self.document, self.ids, self.chance, self.junk = document, ids, random.Random(), 0.0

    def call(self, client: APIClient, operation: Operation, number: int) -> tuple[str, HttpResponseBase]:
        self.chance.seed(f"{operation} {number}")
        self.junk = 0.12 if number else 0.0
        address = self._address(operation)
        body, kind = self._body(operation)
        headers = {"If-Match": self.chance.choice(['"1"', '"2"', "*", "x", '"' + "9" * 30 + '"'])}
        if self.chance.random() < 0.3:
            headers["Idempotency-Key"] = self.chance.choice(["a", "🦜", "k" * 300, f"{operation} {number}"])
        said = f"{operation.method.upper()} {address} {headers} {body[:500]!r}"
        try:
            answer = client.generic(
                operation.method.upper(),
                address,
                body,  # type: ignore[arg-type]
                content_type=kind,
                headers=headers,
            )
        except Exception as error:
            raise AssertionError(f"{said} crashed") from error
        return said, answer

    def _address(self, operation: Operation) -> str:
        address = operation.path
        for parameter in operation.named("path"):
            mark = "{" + parameter["name"] + "}"
            known = self.ids.get(operation.path.partition("/" + mark)[0], [])
            value = self.chance.choice(known) if known and self.chance.random() > 2 * self.junk else self._junk_id()
            address = address.replace(mark, quote(value, safe=""))
        wanted = [
            each for each in operation.named("query") if each.get("required") or self.chance.random() < 4 * self.junk
        ]
        query = [(each["name"], self._asked(each["schema"])) for each in wanted]
        if self.chance.random() < self.junk:
            query.append((self.chance.choice(["limit", "cursor", "from", "q", "format"]), self.chance.choice(TEXTS)))
        return f"{address}?{urlencode(query)}" if query else address

    def _junk_id(self) -> str:
        return self.chance.choice(["x", "cmp_00000000000000000000000000", "🦜", "a b", "%", "1", "9" * 40, "email"])

    def _asked(self, schema: Mapping[str, Any]) -> str:
        found = self.drawn(schema)
        return found if isinstance(found, str) else json.dumps(found)

    def _body(self, operation: Operation) -> tuple[bytes, str]:
        content = operation.spec.get("requestBody", {}).get("content", {})
        if "text/csv" in content and self.chance.random() < 0.8:
            rows = [",".join(self.chance.choice(TEXTS)[:99] for _ in range(3)) for _ in range(4)]
            return "\n".join(["external_id,email,name", *rows]).encode("utf-8", "replace"), "text/csv"
        if self.chance.random() < self.junk:
            return self.chance.choice(NOT_JSON).encode(), "application/json"
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            return b"", "application/json"
        return json.dumps(self.drawn(schema)).encode(), "application/json"

    def drawn(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value of the schema; in every round but the first, one time in eight something else."""
        if self.chance.random() < self.junk or depth > DEPTH_MAX:
            return self.chance.choice([None, True, [], {}, [None], {"a": 1}, *TEXTS, *NUMBERS])
        if "$ref" in schema:
            return self.drawn(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
        for several in ("oneOf", "anyOf", "allOf"):
            if schema.get(several):
                return self.drawn(self.chance.choice(schema[several]), depth)
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        kinds = schema.get("type", "object")
        kind = self.chance.choice(kinds) if isinstance(kinds, list) else kinds
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return [self.drawn(schema.get("items", {}), depth + 1) for _ in range(self.chance.choice([0, 1, 1, 2]))]
        if kind in ("integer", "number"):
            return self.chance.choice([schema.get("minimum", 1), schema.get("maximum", 5), 1, 3, *NUMBERS])
        return {"boolean": self.chance.random() < 0.5, "null": None}.get(kind, self._text(schema))

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        below, needed = schema.get("properties", {}), schema.get("required", ())
        found = {
            name: self.drawn(each, depth + 1)
            for name, each in below.items()
            if not each.get("readOnly") and self.chance.random() < (0.95 if name in needed else 0.5)
        }
        if isinstance(schema.get("additionalProperties"), dict):
            found[self.chance.choice(TEXTS)[:80]] = self.drawn(schema["additionalProperties"], depth + 1)
        return found

    def _text(self, schema: Mapping[str, Any]) -> str:
        known = [each for some in self.ids.values() for each in some]
        return self.chance.choice([*TEXTS, *known] if self.chance.random() < 0.6 else [*known, "News", "Spring"])


@pytest.fixture
def filled(
    make_draft: MakeDraft, launch_it: Callable[..., Campaign], send_it: Callable[..., Campaign], postbox: Postbox
) -> None:
    """A campaign that was sent, and a draft: something to ask about."""
    send_it(launch_it(make_draft()))
    make_draft("Summer")


def test_no_operation_answers_with_a_crash(api: Callable[..., APIClient], filled: None, settings: Any) -> None:
    settings.API_RATE = "1000000/minute"
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    operations = list(_operations(document))
    client = api()
    caller = Caller(document, _ids(client, operations))
    seen: dict[str, set[int]] = defaultdict(set)
    for number in range(1 + ROUNDS):
        for operation in operations:
            said, answer = caller.call(client, operation, number)
            status = answer.status_code
            seen[str(operation)].add(status)
            assert status < 500, said
            if status == 401:  # its key was revoked, as it had asked
                client = api()
            if status >= 400:
                assert answer["Content-Type"] == "application/problem+json", said
                assert json.loads(answer.content).keys() >= PROBLEM, said  # type: ignore[attr-defined]
    assert len(operations) > 150
    assert sum(min(statuses) < 300 for statuses in seen.values()) > len(operations) / 3, "what is asked for is answered"


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Reading first, deleting last. What never ends, and what another proof than a key opens, has tests of its own."""
    for method in METHODS:
        for path, methods in document["paths"].items():
            if method in methods and {"apiKey": []} in methods[method].get("security", ()):
                yield Operation(path, method, methods[method])


def _ids(client: APIClient, operations: list[Operation]) -> dict[str, list[str]]:
    """What the lists show."""
    found: dict[str, list[str]] = {}
    for each in operations:
        if each.method == "get" and "{" not in each.path:
            answer = client.get(each.path)
            items = answer.json().get("items", ()) if answer["Content-Type"] == "application/json" else ()
            found[each.path] = [row["id"] for row in items if isinstance(row, dict) and "id" in row]
    return {path: ids for path, ids in found.items() if ids}
