"""Why somebody runs something again: said in words, kept in the audit trail."""

from lamba_campaigns.lib.errors import FieldProblem, Invalid

REASON_LENGTH_MAX = 500


def checked(reason: str) -> str:
    """The reason without spaces at its ends; Invalid when nothing is said, or too much."""
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_LENGTH_MAX:
        detail = f"Give a reason of 1 to {REASON_LENGTH_MAX} characters."
        raise Invalid(detail, problems=(FieldProblem("#/reason", "length", detail),))
    return reason
