"""The address space of the product plus one page that shows every component, for tests and for the eye."""

from datetime import timedelta

from django import forms
from django.http import HttpResponse
from django.urls import path
from django.utils import timezone

from lamba_campaigns import urls
from lamba_campaigns.lib.errors import Conflict, DomainError
from lamba_campaigns.web.charts import Bucket, Series, bar_chart
from lamba_campaigns.web.console import ConsoleRequest, console_view, notify, page

MINUTES = 26


class GalleryForm(forms.Form):
    name = forms.CharField(label="Campaign name", max_length=60, help_text="Only your team sees it.")
    channel = forms.ChoiceField(label="Channel", choices=[("email", "Email"), ("in_app", "In-app")])
    pace = forms.IntegerField(label="Pace limit", required=False)
    note = forms.CharField(label="Note", widget=forms.Textarea, required=False)
    agreed = forms.BooleanField(label="Stop at 2% failures", required=False, help_text="The campaign pauses by itself.")
    when = forms.ChoiceField(
        label="Start", widget=forms.RadioSelect, choices=[("now", "Now"), ("later", "At a time")], initial="now"
    )


@console_view(get="console.read", post="console.read")
def gallery(request: ConsoleRequest) -> HttpResponse:
    form = GalleryForm(request.POST or None)
    refused = request.method == "POST" and not form.is_valid()
    if request.method == "POST" and not refused:
        notify(request, "Saved.")
    return page(request, "gallery.html", {**_context(), "form": form}, status=422 if refused else 200)


@console_view(get="console.read")
def refused(request: ConsoleRequest) -> HttpResponse:
    raise Conflict("The campaign is sending since 09:14.", next_step="Pause it first.")


@console_view(get="console.read")
def live(request: ConsoleRequest) -> HttpResponse:
    return page(request, "_live.html", {"n": int(request.GET.get("n", 0)) + 1})


def _context() -> dict[str, object]:
    now = timezone.now()
    buckets = [Bucket(f"02:{i:02}", (1240 - 37 * (i % 5), i % 11, 20 + i % 7)) for i in range(MINUTES)]
    buckets.append(Bucket("02:26", (640, 4, 11), current=True))
    buckets += [Bucket(f"02:{27 + i}", (1240, 0, 0), projected=True) for i in range(13)]
    series = [Series("Accepted", "ok"), Series("Failed", "bad"), Series("Excluded", "mute")]
    violations: list[dict[str, object]] = [
        {
            "label": "Audience size",
            "detail": "61,840 people. The Growth plan allows 50,000 per campaign, Scale allows 250,000.",
            "requested": 61_840,
            "available": 50_000,
            "shortfall": 11_840,
        }
    ]
    remedies: list[dict[str, object]] = [
        {"kind": "upgrade", "plan": "scale", "url": "#upgrade"},
        {"kind": "reduce_audience", "max": 50_000, "url": "#narrow"},
        {"kind": "wait", "until": "1 Dec"},
    ]
    parts = [("Accepted", "ok", 29_544), ("Failed", "bad", 235), ("Excluded", "mute", 525), ("Retrying", "warn", 117)]
    words = ("Accepted", "Failed", "Excluded", "Retrying", "Waiting")
    counters = [
        {"label": label, "tone": tone, "value": n, "share": share}
        for label, tone, n, share in zip(
            words,
            ("ok", "bad", "mute", "warn", "mute"),
            (29_544, 235, 525, 117, 17_789),
            ("97.5%", "0.8%", "", "", ""),
            strict=True,
        )
    ]
    return {
        "nav": "settings",
        "chart": bar_chart(title="Outcomes per minute", series=series, buckets=buckets),
        "problem": _limit_reached(violations, remedies),
        "parts": parts,
        "counters": counters,
        "tabs": [("All", "?", 9, True), ("Active", "?state=active", 3, False), ("Drafts", "?state=draft", 2, False)],
        "tiles": [
            {"label": "Active campaigns", "used": 3, "allowed": 5},
            {"label": "Email volume, November", "used": 78_100, "allowed": 100_000},
            {"label": "Templates", "used": 14, "allowed": None},
            {"label": "Email campaigns, November", "used": 22, "allowed": 20},
        ],
        "rows": [
            ("Spring renewal reminder", "sending", 62, now),
            ("Q4 feature announcement", "draft", 0, now - timedelta(minutes=18)),
            ("Win-back: dormant owners", "paused", 42, now - timedelta(hours=3)),
            ("Invoice format change", "completed", 100, now - timedelta(days=2)),
            ("Payment retry, wave 2", "failed", 100, now - timedelta(days=7)),
        ],
        "entries": [
            {"icon": "play", "tone": "info", "who": "Mara Lind", "what": "resumed sending", "at": now},
            {
                "icon": "pause",
                "tone": "warn",
                "who": "Priya Kaya",
                "what": "paused sending",
                "note": "“Checking bounce spike at northwind.io”",
                "at": now - timedelta(minutes=9),
            },
            {
                "icon": "send",
                "who": "Mara Lind",
                "what": "launched to",
                "target": "48,210 people",
                "at": now - timedelta(hours=2),
            },
        ],
        "steps": [("Match the rules", 1118, ""), ("No email address", 18, "minus"), ("Can be contacted", 915, "total")],
        "people": [
            {"name": "Lena Fischer", "detail": "Annual plan, seen 2 d ago"},
            {"name": "oskar.kim@example.com", "detail": "Monthly plan"},
        ],
        "checks": [
            {"tone": "ok", "title": "Project scope", "detail": "Acme / Production"},
            {"tone": "ok", "title": "Template", "detail": "Published"},
        ],
    }


def _limit_reached(violations: list[dict[str, object]], remedies: list[dict[str, object]]) -> DomainError:
    """Looks like a plan limit, without being one of the product's own refusals."""
    error = DomainError("1 check blocks the launch.", violations=violations, remedies=remedies)
    error.status, error.title = 402, "Not ready to launch"  # type: ignore[misc]
    return error


_SCOPE = "<slug:workspace>/<slug:project>/<environment:environment>/"
handler404, handler500 = urls.handler404, urls.handler500
urlpatterns = [
    *urls.urlpatterns,
    path(f"{_SCOPE}gallery", gallery, name="gallery"),
    path(f"{_SCOPE}gallery/refused", refused, name="gallery-refused"),
    path(f"{_SCOPE}gallery/live", live, name="gallery-live"),
]
