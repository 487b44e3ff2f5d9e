"""The only request body REST reads: strict JSON."""

from typing import Any

from rest_framework.parsers import JSONParser

from lamba_campaigns.lib.canonical import strict_loads
from lamba_campaigns.lib.errors import DomainError


class BadJSON(DomainError):
    code = "MALFORMED_JSON"
    status = 400
    title = "The body is not valid JSON"


class StrictJSONParser(JSONParser):
    """JSON with no duplicate keys, no NaN, no NUL, at most 32 levels; Django reads 1 MiB at most."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return strict_loads(stream.read())
        except ValueError as problem:
            raise BadJSON(f"The body can't be read: {problem}.", next_step="Send one JSON object in UTF-8.") from None
