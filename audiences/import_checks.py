"""What each cell of an import may say, as one statement over the staged rows. Texts of the file are never SQL."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, LiteralString

from django.db import connection
from psycopg import sql as compose

from audiences import statements
from audiences.import_columns import Column, Kind
from audiences.import_rows import PROBLEMS_KEPT_MAX, Found
from audiences.models import ImportRun
from projects.scoping import Scope

TRUE_WORDS: Final = ("true", "t", "yes", "y", "1")
FALSE_WORDS: Final = ("false", "f", "no", "n", "0")
DETAILS: Final[Mapping[str, str]] = {
    "missing": "Every row needs an external_id.",
    "too_long": "This is longer than {note} characters.",
    "formula": "This looks like a spreadsheet formula. Export the values of the sheet, not its formulas.",
    "control_character": "This holds a control character, such as a line break.",
    "invalid_address": "This is no e-mail address.",
    "invalid_country": "Use the two letters of ISO 3166, such as DE.",
    "invalid_membership": "Use invited, active, suspended or removed.",
    "invalid_boolean": "Use true or false.",
    "invalid_number": "This is no number. Use digits and a point, such as 12.5.",
    "invalid_segment": "Segments are named by letters, digits, - and _, separated by semicolons.",
    "invalid_words": "Separate names by semicolons; each may have 60 characters.",
    "repeated_person": "Line {note} speaks of the same external_id.",
    "erased_person": "This person was erased. An import can't bring an erased person back.",
}
_ACCEPTED_BOOLEANS: Final[LiteralString] = "'true','t','yes','y','1','false','f','no','n','0'"
_CHECKS: Final[Mapping[Kind, LiteralString]] = {
    "text": "",
    "word": "",
    "email": " WHEN {c} IS NOT NULL AND audiences_address_state({c}) <> 1 THEN 'invalid_address'",
    "country": " WHEN {c} !~ '^[A-Za-z]{{2}}$' THEN 'invalid_country'",
    "membership": " WHEN lower({c}) NOT IN ('invited','active','suspended','removed') THEN 'invalid_membership'",
    "boolean": " WHEN lower({c}) NOT IN (" + _ACCEPTED_BOOLEANS + ") THEN 'invalid_boolean'",
    "number": " WHEN {c} !~ '^-?[0-9]{{1,15}}([.][0-9]{{1,9}})?$' THEN 'invalid_number'",
    "words": " WHEN {c} !~ '^[^;]{{0,60}}(;[^;]{{0,60}})*$' THEN 'invalid_words'",
}
_SEGMENTS: Final[LiteralString] = (
    " WHEN {c} !~ '^ *[A-Za-z0-9_-]{{0,60}} *(; *[A-Za-z0-9_-]{{0,60}} *)*$' THEN 'invalid_segment'"
)
# A leading =, @, or + and - before a letter or bracket starts a formula in every spreadsheet.
_ALWAYS: Final[LiteralString] = (
    "WHEN length({c}) > {most} THEN 'too_long'"
    " WHEN {c} ~ '^[=@]|^[+-][A-Za-z(]|[[:cntrl:]]'"
    " THEN CASE WHEN {c} ~ '[[:cntrl:]]' THEN 'control_character' ELSE 'formula' END"
)


def cell(column: Column | None, *, empty: LiteralString = "NULL") -> compose.Composable:
    """The cell as SQL over `r` (import_rows), or `empty` where the file has no such column."""
    if column is None:
        return compose.SQL(empty)
    return compose.SQL("r.{}").format(compose.Identifier(f"c{column.index}"))


def by_field(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.field: column for column in columns}


def check(*, scope: Scope, columns: Sequence[Column], unstaged: Sequence[Found]) -> int:
    """Judge every staged row into the table `import_problems`; how many lines are wrong."""
    who = by_field(columns)["external_id"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS import_problems")
        cursor.execute(
            "CREATE TEMPORARY TABLE import_problems"
            " (line int NOT NULL, title text, code text, value text, note text) ON COMMIT DROP"
        )
        cells = compose.SQL(", ").join([_judgement(column) for column in columns])
        cursor.execute(statements.composed("check_rows").format(cells=cells))
        names = {"who": cell(who)}
        params: dict[str, str | int] = {"title": who.title, "environment": scope.environment_id}
        for name in ("check_repeated", "check_erased"):
            cursor.execute(statements.composed(name).format(**names), params)
    with statements.cursor() as plain, plain.copy("COPY import_problems (line, code, note) FROM STDIN") as copy:
        for problem in unstaged:
            copy.write_row((problem.line, problem.code, problem.detail))
    ((lines,),) = statements.rows("count_problem_lines", params={})
    return int(lines)


def keep(*, scope: Scope, run: ImportRun) -> None:
    """Store the problems with the run, in file order, the first `PROBLEMS_KEPT_MAX` of them."""
    params = {
        "environment": scope.environment_id,
        "run": run.pk,
        "details": json.dumps(DETAILS),
        "limit": PROBLEMS_KEPT_MAX,
    }
    statements.count("keep_problems", params=params)


def _judgement(column: Column) -> compose.Composable:
    c, most = cell(column), compose.Literal(column.length_max)
    first: LiteralString = "WHEN {c} IS NULL THEN 'missing' " if column.field == "external_id" else ""
    own = _SEGMENTS if column.field == "segments" else _CHECKS[column.kind]
    code = compose.SQL("CASE " + first + _ALWAYS + own + " END").format(c=c, most=most)
    return compose.SQL("({}, {}, {}, {})").format(
        compose.Literal(column.title), code, c, compose.Literal(str(column.length_max))
    )


def drop_wrong() -> None:
    """Take the rows with problems out of the staging table."""
    statements.count("drop_wrong_rows", params={})
