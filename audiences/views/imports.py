"""Console pages of imports: upload a file, see what is wrong or what would happen, import it."""

from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.utils import timezone

from audiences import imports
from audiences.forms import UploadForm
from audiences.importing.columns import ACCEPTED
from audiences.models import ImportRun
from audiences.tasks import ring_import
from audiences.views.people import keyset, parts
from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url

PAGE_RUNS = 25
PROBLEMS_SHOWN = 50
_MOVING = (ImportRun.State.QUEUED, ImportRun.State.RUNNING)


@console_view(get="people.write")
def import_list(request: ConsoleRequest) -> HttpResponseBase:
    runs, previous, following = keyset(ImportRun.objects.within(request.scope), request, size=PAGE_RUNS)
    context = {
        "nav": "people",
        "parts": parts(request.scope, request.access, "imports"),
        "runs": runs,
        "previous": previous,
        "next": following,
        "shown": f"{len(runs)} on this page",
    }
    return page(request, "audiences/import_list.html", context)


@console_view(get="people.write", post="people.write")
def import_new(request: ConsoleRequest) -> HttpResponseBase:
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    context = {"nav": "people", "form": form, "columns": ACCEPTED}
    if request.method != "POST":
        return page(request, "audiences/import_new.html", context)
    if not form.is_valid():
        return page(request, "audiences/import_new.html", context, 422)
    given = form.cleaned_data
    try:
        run = imports.upload(
            scope=request.scope,
            actor=request.actor,
            filename=given["file"].name,
            chunks=given["file"].chunks(),
            dry_run=given["check_only"],
            skip_invalid=given["skip_invalid"],
            now=timezone.now(),
        )
    except DomainError as refusal:
        form.add_error("file", refusal.detail)
        return page(request, "audiences/import_new.html", context, 413 if refusal.status == 413 else 422)
    ring_import(run.pk)
    return HttpResponseRedirect(url(request.scope, "import-detail", run.public_id))


@console_view(get="people.write")
def import_detail(request: ConsoleRequest, import_id: str) -> HttpResponseBase:
    run = imports.get(scope=request.scope, public_id=import_id)
    moving = run.state in _MOVING
    seen = f"{run.state}-{run.progress_percent}"
    if getattr(request, "htmx", False) and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    found = list(imports.problems(scope=request.scope, run=run)[:PROBLEMS_SHOWN])
    context = {
        "nav": "people",
        "run": run,
        "moving": moving,
        "seen": seen,
        "problems": found,
        "right": run.row_count - run.problem_count,
        "can_start": run.state == ImportRun.State.CHECKED and not run.problem_count and run.row_count,
        "can_skip": run.state in ("checked", "refused") and not run.problem and 0 < run.problem_count < run.row_count,
        "unchanged": max(0, run.row_count - run.problem_count - run.created_count - run.updated_count),
    }
    context["polled"] = bool(getattr(request, "htmx", False))
    template = "audiences/_import.html" if getattr(request, "htmx", False) else "audiences/import_detail.html"
    return page(request, template, context)


@console_view(post="people.write")
def import_start(request: ConsoleRequest, import_id: str) -> HttpResponseBase:
    run = imports.start(
        scope=request.scope, actor=request.actor, public_id=import_id, skip_invalid="skip_invalid" in request.POST
    )
    ring_import(run.pk)
    notify(request, "Import started.")
    return HttpResponseRedirect(url(request.scope, "import-detail", import_id))


@console_view(post="people.write")
def import_cancel(request: ConsoleRequest, import_id: str) -> HttpResponseBase:
    run = imports.cancel(scope=request.scope, actor=request.actor, public_id=import_id, now=timezone.now())
    ring_import(run.pk)
    notify(request, "The import stops within seconds. Nothing of the file stays.")
    return HttpResponseRedirect(url(request.scope, "import-detail", import_id))


@console_view(get="people.write")
def import_problems_csv(request: ConsoleRequest, import_id: str) -> HttpResponseBase:
    run = imports.get(scope=request.scope, public_id=import_id)
    answer = StreamingHttpResponse(
        imports.problems_csv(scope=request.scope, run=run), content_type="text/csv; charset=utf-8"
    )
    scope = request.scope
    name = f"{scope.workspace_slug}-{scope.project_slug}-{scope.environment}-import-problems-{run.public_id}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
