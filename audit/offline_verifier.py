#!/usr/bin/env python3
"""Verify an audit export (NDJSON or CSV) or a closing statement (JSON or CSV) without the console that made it.

    python offline_verifier.py FILE [--key PUBLIC_KEY_HEX]… [--json]

Needs Python 3.9 and nothing else; signatures are checked with `cryptography` where it is installed, else by the slower
arithmetic below. Without --key the newest key of the file is believed: compare the printed key with one that you kept.
Exit code 0: nothing was changed. 1: changed, the first break is named. 2: the file can't be read.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import hmac
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

GENESIS = "00" * 32
ENDORSEMENT = b"audit key:"  # before the 32 bytes of a new public key, signed with the old one
WORDS = ("actor_ip", "actor_label", "subject_name")
_Heads = dict[int, list[str]]  # number of entries -> the heads that were signed then


class Broken(Exception):
    """What was done, at which number, and how it shows."""

    def __init__(self, kind: str, sequence: int, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.sequence, self.detail = kind, sequence, detail


class Unreadable(Exception):
    """The file is none of the four kinds."""


@dataclass
class Report:
    """What was read. `missing` entries were left out of a filtered CSV; `withheld` ones are here by their hash only."""

    file: str
    subject: str = ""
    entries: int = 0
    withheld: int = 0
    erased: int = 0
    missing: int = 0
    checkpoints: int = 0
    first: int = 0
    last: int = 0
    head: str = GENESIS
    keys: list[str] = field(default_factory=list)
    flaw: dict[str, Any] | None = None


def verify_file(path: str, believed: Iterable[str] = ()) -> Report:
    """Read the file to its end or its first break. `believed` are public keys in hex that were kept elsewhere."""
    with open(path, encoding="utf-8", newline="") as file:
        start = file.readline()
        file.seek(0)
        report, keys = Report(path), {key.lower() for key in believed}
        try:
            if start.startswith("number,"):
                _trail_csv(csv.DictReader(file), report)
            elif start.startswith("group,item,value"):
                _statement_csv(file.read(), report, keys)
            elif start.startswith('{"kind":"header"'):
                _trail(path, _json_lines(file), report, keys)
            else:
                _statement(json.load(file), report, keys)
        except Broken as broken:
            report.flaw = {"kind": broken.kind, "sequence": broken.sequence, "detail": broken.detail}
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise Unreadable(f"{path} is no export or statement of ours: {problem}") from problem
    return report


def link_hash(previous: str, sequence: int, content_hash: str) -> str:
    """SHA-256 over previous hash, number (8 bytes, big endian) and content hash."""
    raw = bytes.fromhex(previous) + sequence.to_bytes(8, "big") + bytes.fromhex(content_hash)
    return hashlib.sha256(raw).hexdigest()


def trusted_keys(checkpoints: Iterable[dict[str, Any]], believed: set[str]) -> set[str]:
    """`believed` and every key that a believed one took over from. `checkpoints`: newest first, {note, signature}.

    Both hands are needed: the new key names the old one in what it signed, and the old one signed the new key.
    """
    trusted = set(believed)
    for found in checkpoints:
        note = json.loads(found["note"])
        old, new = note.get("previousKey", ""), note.get("key", "")
        if not old or new not in trusted or old in trusted:
            continue
        signed = is_signed(new, found["note"].encode(), found["signature"])
        if signed and is_signed(old, ENDORSEMENT + bytes.fromhex(new), note.get("endorsement", "")):
            trusted.add(old)
    return trusted


def is_signed(key: str, message: bytes, signature: str) -> bool:
    """Whether the Ed25519 signature (hex) over `message` is by this public key (hex)."""
    try:
        public, found = bytes.fromhex(key), bytes.fromhex(signature)
    except ValueError:
        return False
    if len(public) != 32 or len(found) != 64:
        return False
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return _ed25519(public, message, found)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(found, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _trail(path: str, lines: Iterator[dict[str, Any]], report: Report, believed: set[str]) -> None:
    header = next(lines)
    report.subject = f"chain {header['chain']} of {header['origin']}"
    signed, hashes, trusted = [], hashlib.sha256(), None
    heads: _Heads = {}
    for line in lines:
        if line["kind"] == "checkpoint":
            signed.append(line)
            continue
        if trusted is None:
            trusted = _believe(signed, believed or {header["key"]}, heads, report)
        if line["kind"] == "end":
            _end(line, header, report, trusted, hashes.hexdigest())
            if next(lines, None) is not None:
                raise Broken("inserted", report.last + 1, "Lines follow the signed end of the file.")
            return
        _entry(path, line, report, heads)
        hashes.update(bytes.fromhex(line["hash"]))
    raise Broken("truncated", report.last + 1, "The file has no signed end.")


def _believe(signed: list[dict[str, Any]], believed: set[str], heads: _Heads, report: Report) -> set[str]:
    trusted = trusted_keys(reversed(signed), believed)
    before = ""
    for found in signed:
        note = json.loads(found["note"])
        if found["key"] not in trusted or not is_signed(found["key"], found["note"].encode(), found["signature"]):
            raise Broken("forged", note["sequence"], "A checkpoint is not signed by a key that is believed.")
        if before and note["previousSignature"] != before:
            raise Broken("removed", note["sequence"], "A checkpoint before this one is missing.")
        before = found["signature"]
        heads.setdefault(note["sequence"], []).append(note["head"])
    report.checkpoints, report.keys = len(signed), sorted(trusted)
    return trusted


def _entry(path: str, line: dict[str, Any], report: Report, heads: _Heads) -> None:
    number = line["sequence"]
    if not report.entries:
        report.first, report.last, report.head = number, number - 1, line["previousHash"]
        if number == 1 and line["previousHash"] != GENESIS:
            raise Broken("edited", 1, "The first entry follows something.")
    if number == report.last:
        raise Broken("forked", number, f"Two entries claim number {number}.")
    if number != report.last + 1:
        kind = "removed" if number > report.last and not _said_later(path, report.last + 1) else "reordered"
        raise Broken(kind, report.last + 1, f"Number {report.last + 1} is not where it belongs.")
    if line["previousHash"] != report.head:
        raise _wrong_link(path, line, report)
    _content(line, report)
    if link_hash(line["previousHash"], number, line["contentHash"]) != line["hash"]:
        raise Broken("edited", number, "The entry's hash does not follow from its content.")
    if any(head != line["hash"] for head in heads.get(number, ())):
        raise Broken("edited", number, "A signed checkpoint has another hash for this entry.")
    report.entries, report.last, report.head = report.entries + 1, number, line["hash"]


def _content(line: dict[str, Any], report: Report) -> None:
    text = line.get("content")
    if text is None:
        report.withheld += 1
        return
    if hashlib.sha256(text.encode()).hexdigest() != line["contentHash"]:
        raise Broken("edited", line["sequence"], "The content does not have the hash that the chain has.")
    said = json.loads(text)
    if said["sequence"] != line["sequence"]:
        raise Broken("reordered", line["sequence"], f"The entry says that it is number {said['sequence']}.")
    if line.get("salt") is None:
        report.erased += 1
        return
    words = json.dumps({name: line["words"][name] for name in WORDS}, separators=(",", ":"), ensure_ascii=False)
    committed = hmac.new(bytes.fromhex(line["salt"]), words.encode(), hashlib.sha256).hexdigest()
    if committed != said["labels"]:
        raise Broken("edited", line["sequence"], "The names of this entry are not those that were committed to.")


def _wrong_link(path: str, line: dict[str, Any], report: Report) -> Broken:
    number = line["sequence"]
    said = json.loads(line["content"])["sequence"] if line.get("content") else number
    if said < number:
        return Broken("inserted", said, f"What stands between {said - 1} and {number} was added.")
    if said > number and _said_later(path, number):
        return Broken("reordered", number, f"The entry at {number} belongs at {said}.")
    if said > number:
        return Broken("removed", number, f"The entry that stood at {number} is gone and the rest was renumbered.")
    return Broken("edited", number - 1, f"Number {number} does not follow from number {number - 1} as it is now.")


def _said_later(path: str, number: int) -> bool:
    """Whether some entry of the file says of itself that it is `number`. Asked once, at the first break."""
    with open(path, encoding="utf-8") as file:
        contents = (line.get("content") for line in _json_lines(file) if line.get("kind") == "entry")
        return any(json.loads(text)["sequence"] == number for text in contents if text)


def _end(line: Any, header: Any, report: Report, trusted: set[str], hashes: str) -> None:
    note = json.loads(line["note"])
    if header["key"] not in trusted or not is_signed(header["key"], line["note"].encode(), line["signature"]):
        raise Broken("forged", report.last, "The end of the file is not signed by a key that is believed.")
    if (note["chain"], note["origin"]) != (header["chain"], header["origin"]):
        raise Broken("forged", report.last, "The end speaks of another chain than the beginning.")
    if report.entries < note["entries"]:
        raise Broken("truncated", report.last + 1, f"The file had {note['entries']} entries, not {report.entries}.")
    if (report.entries, report.head, hashes) != (note["entries"], note["head"], note["hashes"]):
        raise Broken("edited", report.last, "The entries are not those that were exported.")


def _json_lines(file: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file, 1):
        try:
            yield json.loads(line)
        except ValueError:
            raise Broken("edited", number, f"Line {number} can't be read.") from None


def _trail_csv(rows: Iterable[dict[str, str]], report: Report) -> None:
    """Rows that a filter left out are gaps; what is here is proven against its own hash and its neighbours."""
    report.subject = "audit trail (CSV; unsigned: compare the head with a checkpoint)"
    for row in rows:
        number = int(row["number"])
        if report.entries and number <= report.last:
            kind = "forked" if number == report.last else "reordered"
            raise Broken(kind, number, f"Number {number} stands behind number {report.last}.")
        if report.entries and number == report.last + 1 and row["previous_hash"] != report.head:
            raise Broken("edited", report.last, f"Number {number} does not follow from number {report.last}.")
        report.missing += number - report.last - 1 if report.entries else 0
        report.first = report.first or number
        _csv_content(row, number)
        content_hash = hashlib.sha256(row["content"].encode()).hexdigest()
        if link_hash(row["previous_hash"], number, content_hash) != row["hash"]:
            raise Broken("edited", number, "The entry's hash does not follow from its content.")
        report.entries, report.last, report.head = report.entries + 1, number, row["hash"]


def _csv_content(row: dict[str, str], number: int) -> None:
    said = json.loads(row["content"])
    actor, subject = said["actor"], said["subject"]
    shown = {"number": str(said["sequence"]), "actor_id": actor["id"], "origin": actor["origin"]}
    shown |= {"object_type": subject["type"], "object_id": subject["id"], "occurred_at_utc": said["occurredAt"]}
    shown |= {"trace_id": said["trace"], **{name: said[name] for name in ("action", "outcome", "reason")}}
    wrong = sorted(name for name, value in shown.items() if row[name].removeprefix("'") != value.removeprefix("'"))
    if wrong:
        raise Broken("edited", number, f"Columns differ from what was hashed: {', '.join(wrong)}.")


def _statement(given: dict[str, Any], report: Report, believed: set[str]) -> None:
    note = json.loads(given["note"])
    report.subject = f"closing statement {note['number']} of {note['campaign']}"
    report.keys = sorted(believed or {given["key"]})
    if given["key"] not in report.keys or not is_signed(given["key"], given["note"].encode(), given["signature"]):
        raise Broken("forged", note["number"], "The statement is not signed by a key that is believed.")
    if given["statement"] != note:
        wrong = sorted(name for name in {*note, *given["statement"]} if note.get(name) != given["statement"].get(name))
        raise Broken("edited", note["number"], f"It differs from what was signed: {', '.join(wrong)}.")
    accounts = sum(note["accounts"].values()) + note["excluded"]
    if note["planned"] - accounts != note["residual"]:
        raise Broken("edited", note["number"], "Planned minus all accounts is not the residual.")
    report.entries, report.head = 1, hashlib.sha256(given["note"].encode()).hexdigest()


def _statement_csv(text: str, report: Report, believed: set[str]) -> None:
    rows = [tuple(row) for row in csv.reader(text.splitlines())][1:]
    signed = {item: value for group, item, value in rows if group == "signature"}
    note = json.loads(signed["note"])
    _statement({**signed, "statement": note}, report, believed)
    shown = [tuple(cell.removeprefix("'") for cell in row) for row in rows if row[0] != "signature"]
    if shown != [tuple(cell.removeprefix("'") for cell in row) for row in statement_lines(note)]:
        raise Broken("edited", note["number"], "The lines differ from what was signed.")


def statement_lines(note: dict[str, Any]) -> list[tuple[str, str, str]]:
    """A statement as lines of group, item and value: what the CSV shows of it."""
    plain, nested = [], []
    for name, value in note.items():
        if isinstance(value, dict):
            nested += [(name, str(item), _cell(each)) for item, each in value.items()]
        elif isinstance(value, list):
            nested += [(name, str(number), _cell(each)) for number, each in enumerate(value, 1)]
        else:
            plain.append(("statement", name, _cell(value)))
    return plain + nested


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


# --- Ed25519 without a library (RFC 8032, section 6; verification only) --------------------------------------------
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    key, start, scalar = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or start is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = _times(scalar, _BASE)
    right = _add(start, _times(int.from_bytes(digest, "little") % _L, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (left[1] * right[2] - right[1] * left[2]) % _P == 0


def _add(one: _Point, two: _Point) -> _Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % _P
    b = (one[1] + one[0]) * (two[1] + two[0]) % _P
    c, d = 2 * one[3] * two[3] * _D % _P, 2 * one[2] * two[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(scalar: int, point: _Point) -> _Point:
    found: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point, scalar = _add(point, point), scalar >> 1
    return found


def _x(y: int, sign: int) -> int | None:
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    if square == 0:
        return None if sign else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    return _P - x if x & 1 != sign else x


def _point(raw: bytes) -> _Point | None:
    number = int.from_bytes(raw, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    x = _x(y, sign)
    return None if x is None else (x, y, 1, x * y % _P)


_BASE_Y = 4 * pow(5, _P - 2, _P) % _P
_BASE: _Point = (_x(_BASE_Y, 0) or 0, _BASE_Y, 1, (_x(_BASE_Y, 0) or 0) * _BASE_Y % _P)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an audit export or a closing statement.")
    parser.add_argument("file")
    parser.add_argument("--key", action="append", default=[], help="a public key that you kept, in hex")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        report = verify_file(options.file, options.key)
    except (OSError, Unreadable) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    told = json.dumps({"ok": report.flaw is None, **asdict(report)}) if options.json else "\n".join(_lines(report))
    sys.stdout.write(told + "\n")
    return 0 if report.flaw is None else 1


def _lines(report: Report) -> Iterator[str]:
    yield f"{'ok    ' if report.flaw is None else 'BROKEN'} {report.subject}"
    yield f"       {report.entries} entries ({report.first} to {report.last}), {report.checkpoints} checkpoints,"
    yield f"       {report.withheld} withheld, {report.erased} with erased names, {report.missing} left out"
    yield f"       head {report.head}"
    yield from (f"       key  {key}" for key in report.keys)
    if report.flaw:
        yield f"       {report.flaw['kind']} at {report.flaw['sequence']}: {report.flaw['detail']}"


if __name__ == "__main__":
    sys.exit(main())
