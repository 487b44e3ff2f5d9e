"""Expected refusals: what was asked, what was found, what to do next. REST and console render the same object."""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong value: `pointer` is a JSON pointer into what was sent, such as `#/rule/all/0/field`."""

    pointer: str
    code: str
    detail: str


class DomainError(Exception):
    """Base of every refusal. Subclasses stand beside the function that raises them.

    `code` goes out as `errorCode`, `status` is the HTTP status, `extra` joins the problem document as it is.
    """

    code: ClassVar[str] = "DOMAIN_ERROR"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"

    def __init__(
        self, detail: str, *, next_step: str = "", problems: tuple[FieldProblem, ...] = (), **extra: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step
        self.problems = problems
        self.extra = extra


class Invalid(DomainError):
    """What was sent can't be read or breaks a rule of its own. `problems` names each place."""

    code = "INVALID"
    status = 422
    title = "Some values are not valid"


class NotFound(DomainError):
    """The row does not exist here. A row of another environment is this error too."""

    code = "NOT_FOUND"
    status = 404
    title = "Not found"


class Forbidden(DomainError):
    code = "AUTHORIZATION_DENIED"
    status = 403
    title = "Not allowed"


class Conflict(DomainError):
    """The row is in another state than the call needs. Reload and decide again."""

    code = "CONFLICT"
    status = 409
    title = "The state does not allow this"


class Stale(DomainError):
    """Somebody changed the row since it was read (`If-Match` or `state_version` is old)."""

    code = "STALE_VERSION"
    status = 412
    title = "Changed by somebody else"
