"""The page of plan and limits, and its three changes."""

from django.http import HttpRequest, HttpResponse


def plan_and_limits(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


change_plan = add_add_on = end_add_on = plan_and_limits
