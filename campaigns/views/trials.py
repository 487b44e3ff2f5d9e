"""Console pages of tests: the step in the editor, and the seed lists."""

from django import forms
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone

from campaigns import seeds, templates, trials
from campaigns.models.seeds import SEEDS_MAX
from lamba_campaigns.lib.errors import DomainError, Invalid
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page, url
from lamba_campaigns.web.rate import require_rate


class SeedForm(forms.Form):
    name = forms.CharField(label="Name", max_length=80)
    addresses = forms.CharField(
        label="Addresses",
        max_length=6_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text=f"One a line, {SEEDS_MAX} at most. Mailboxes of your own, on the providers that you care about.",
    )


@console_view(post="templates.write")
def template_test(request: ConsoleRequest, template: str) -> HttpResponseBase:
    """Send the saved text to oneself or to a seed list, and say what the channel answered."""
    found = templates.find(scope=request.scope, template_id=template)
    named = request.POST.get("to", "")
    require_rate("trial", request.actor.id, rate=trials.TRIAL_RATE)
    sent = trials.send(
        scope=request.scope,
        actor=request.actor,
        template=found,
        message=templates.current(scope=request.scope, template=found),
        addresses=seeds.find(scope=request.scope, seed_list=named).addresses
        if named
        else trials.own_address(request.actor),
        person_id=request.POST.get("person") or None,
        now=timezone.now(),
    )
    notify(request, _said(sent))
    return HttpResponseRedirect(url(request.scope, "template-detail", found.public_id))


@console_view(get="console.read", post="templates.write")
def seed_lists(request: ConsoleRequest) -> HttpResponse:
    form = SeedForm(request.POST or None)
    if request.method == "POST" and "delete" in request.POST:
        listed = request.POST["delete"]
        seeds.delete(scope=request.scope, actor=request.actor, seed_list=listed, now=timezone.now())
        notify(request, "Seed list deleted.")
        return HttpResponseRedirect(url(request.scope, "seed-lists"))
    if request.method == "POST" and form.is_valid():
        try:
            seeds.create(
                scope=request.scope,
                actor=request.actor,
                name=form.cleaned_data["name"],
                addresses=form.cleaned_data["addresses"].splitlines(),
                now=timezone.now(),
            )
        except DomainError as refusal:
            _show(form, refusal)
        else:
            notify(request, "Seed list saved.")
            return HttpResponseRedirect(url(request.scope, "seed-lists"))
    context = {"nav": "templates", "form": form, "rows": seeds.lists(scope=request.scope)}
    return page(request, "campaigns/seeds.html", context, status=422 if form.errors else 200)


def _show(form: SeedForm, refusal: DomainError) -> None:
    if not isinstance(refusal, Invalid):
        form.add_error("name", refusal.detail)
        return
    for each in refusal.problems:
        form.add_error(each.pointer.split("/")[1], each.detail)


def _said(sent: list[trials.Trial]) -> str:
    taken = sum(each.outcome == "accepted" for each in sent)
    mailboxes = "1 mailbox" if len(sent) == 1 else f"{len(sent)} mailboxes"
    refused = next((f" {each.address}: {each.detail}" for each in sent if each.outcome != "accepted"), "")
    return (
        f"Test accepted for {mailboxes}." if taken == len(sent) else f"{taken} of {mailboxes} took the test.{refused}"
    )
