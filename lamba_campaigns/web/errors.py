"""What the framework itself refuses: a page for people, a problem document under /api/."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token

from lamba_campaigns.lib.errors import DomainError, Forbidden, NotFound
from lamba_campaigns.web.console import problem_page
from lamba_campaigns.web.problems import problem
from lamba_campaigns.web.requests import trace_id


class BadRequest(DomainError):
    code = "BAD_REQUEST"
    status = 400
    title = "The request can't be read"


class StaleForm(DomainError):
    """A form was sent without the token of the page that it came from."""

    code = "STALE_FORM"
    status = 403
    title = "This form is no longer valid"


class Broken(DomainError):
    code = "INTERNAL_ERROR"
    status = 500
    title = "Something broke on our side"


def answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal outside of any view."""
    if request.path.startswith("/api/"):
        document = problem(error, trace=trace_id(request))
        return JsonResponse(document, status=error.status, content_type="application/problem+json")
    return problem_page(request, error)


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, BadRequest("The server could not read this request.", next_step="Go back and try again."))


@requires_csrf_token
def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(request, Forbidden("Your account may not open this page.", next_step="Ask an owner or admin."))


@requires_csrf_token
def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return answer(
        request,
        NotFound("There is nothing at this address.", next_step="Check the address, or start from your projects."),
    )


@requires_csrf_token
def server_error(request: HttpRequest) -> HttpResponse:
    """Rendered without context processors or database: it must work when they do not."""
    error = Broken("The error is logged. Nothing you sent was half done.", next_step="Try again in a minute.")
    if request.path.startswith("/api/"):
        return answer(request, error)
    return render(None, "errors/500.html", {"problem": error, "trace": trace_id(request)}, status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return problem_page(
        request,
        StaleForm(
            "The page was open for too long, or cookies are blocked. Nothing was changed.",
            next_step="Go back, load the page again and repeat the step.",
        ),
    )
