"""The words of our templates: icons, badges, numbers, times, bars. Built in, so no template needs `{% load %}`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django import template
from django.forms import BoundField
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide import _render_icon

from lamba_campaigns.lib.errors import DomainError
from lamba_campaigns.web import charts, navigation, problems
from lamba_campaigns.web.states import look_of
from projects.access import Access
from projects.roles import Permission
from projects.scoping import Scope

register = template.Library()

DASH = "\u2013"  # what stands for a missing number or time
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


# --- icons, badges, people ------------------------------------------------------------------------------------------
@lru_cache(maxsize=1024)
def _icon(name: str, size: int, css: str) -> SafeString:
    attributes = {
        "class": f"i {css}".strip(),
        "stroke-width": "1.75",
        "aria-hidden": "true",
        "focusable": "false",
    }
    return mark_safe(" ".join(_render_icon(name, size, **attributes).split()))  # noqa: S308 - Lucide's own markup


@register.simple_tag
def icon(name: str, size: int = 16, css: str = "") -> SafeString:
    """A Lucide icon as inline SVG; decoration only, so say its meaning in words beside it."""
    return _icon(str(name), int(size), css)


@register.simple_tag
def badge(state: str, label: object = None) -> SafeString:
    """A state as icon, word and colour. A live state pulses."""
    look = look_of(str(state))
    text = look.label if label is None else label
    mark = mark_safe('<i class="pulse"></i>') if look.tone == "live" else _icon(look.icon, 14, "")
    return format_html('<span class="badge" data-tone="{}">{}{}</span>', look.tone, mark, text)


@register.simple_tag
def pill(tone: str, label: object, icon_name: str = "") -> SafeString:
    """A badge for something that is no state: `{% pill "ok" "8 of 8" "circle-check" %}`."""
    mark = _icon(icon_name, 14, "") if icon_name else mark_safe('<i class="dot"></i>')
    return format_html('<span class="badge" data-tone="{}">{}{}</span>', tone, mark, label)


@register.filter
def initials(name: object) -> str:
    """`Lena Fischer` and `lena.fischer@x.de` are both LF."""
    words = str(name).partition("@")[0].replace(".", " ").replace("_", " ").replace("-", " ").split()
    if not words:
        return "?"
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


# --- numbers and times ----------------------------------------------------------------------------------------------
@register.filter
def num(value: object) -> str:
    """12,480; a missing number is a dash."""
    return DASH if value is None or value == "" else f"{int(value):,}"  # type: ignore[call-overload]


@register.filter
def pct(value: object, total: object) -> str:
    """`{{ n|pct:total }}`: 0.8%, 97.5%, 100%. Never rounds a part up to all or down to nothing."""
    part, whole = float(value or 0), float(total or 0)  # type: ignore[arg-type]
    if not whole:
        return "0%"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.0f}%" if share == int(share) else f"{share:.1f}%"


@register.filter
def minus(value: object, other: object) -> int:
    return int(value or 0) - int(other or 0)  # type: ignore[call-overload,no-any-return]


@register.filter
def get(mapping: Any, key: object) -> object:
    """`{{ counts|get:reason }}`."""
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.filter
def ago(moment: datetime | None) -> str:
    """4 min ago, in 14 h, just now. Always beside an absolute time."""
    if not moment:
        return "never"
    seconds = int((timezone.now() - moment).total_seconds())
    size = abs(seconds)
    for unit, length in UNITS:
        if size >= length:
            return f"{size // length} {unit} ago" if seconds > 0 else f"in {size // length} {unit}"
    return "just now" if seconds >= 0 else "in under a minute"


@register.simple_tag
def when(moment: datetime | None, style: str = "short") -> SafeString:
    """A time in the reader's zone; UTC in its title. Styles: short, full (with zone), date, time, clock (seconds)."""
    if not moment:
        return format_html('<span class="faint">{}</span>', DASH)
    local, exact = timezone.localtime(moment), moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(timespec="seconds").replace("+00:00", "Z"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        _written(local, style),
    )


def _written(local: datetime, style: str) -> str:
    day = f"{local.day} {local:%b}" if local.year == timezone.localtime().year else f"{local.day} {local:%b %Y}"
    if style == "full":
        return f"{day}, {local:%H:%M} {getattr(local.tzinfo, 'key', local.tzname())}"
    return {"date": day, "time": f"{local:%H:%M}", "clock": f"{local:%H:%M:%S}"}.get(style, f"{day}, {local:%H:%M}")


# --- bars -----------------------------------------------------------------------------------------------------------
@register.simple_tag
def meter(used: object, total: object, tone: str = "", label: str = "") -> SafeString:
    """How much of a limit is used. Past the limit the overrun is drawn in red; without a limit the bar is empty."""
    bar = charts.meter(int(used or 0), None if total is None else int(total), tone)  # type: ignore[call-overload]
    return _bar(bar, label or bar.label, height=6, css="")


@register.simple_tag
def stacked(parts: Iterable[tuple[str, str, int]], total: int = 0, size: str = "", bar_id: str = "") -> SafeString:
    """Parts of one whole: `[("Delivered", "ok", 120), …]`. `total` leaves the rest empty; size "l" is tall."""
    bar = charts.stacked(list(parts), int(total or 0))
    return _bar(bar, bar.label, height=12 if size == "l" else 6, css=size, bar_id=bar_id)


def _bar(bar: charts.Bar, label: str, *, height: int, css: str, bar_id: str = "") -> SafeString:
    return mark_safe(  # noqa: S308 - rendered by Django's own escaping engine
        render_to_string(
            "components/bar.html",
            {"bar": bar, "label": label, "height": height, "css": css, "bar_id": bar_id},
        ).strip()
    )


# --- addresses and permissions --------------------------------------------------------------------------------------
@register.simple_tag(takes_context=True)
def to(context: dict[str, Any], name: str, *args: object) -> str:
    """The address of a console page in this environment: `{% to "campaign-detail" campaign.public_id %}`."""
    scope: Scope = context["scope"]
    return navigation.url_of(scope, name, *args)


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: object) -> str:
    """The page's own query string with some values changed; an empty value removes it: `{% query state="draft" %}`."""
    values = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            values.pop(name, None)
        else:
            values[name] = str(value)
    return f"?{values.urlencode()}"


@register.filter
def may(access: Access | None, permission: Permission) -> bool:
    """`{% if access|may:"campaigns.launch" %}`."""
    return access is not None and access.may(permission)


@register.simple_tag
def crumb(label: object, address: str = "") -> SafeString:
    """One step of the breadcrumb: with an address a link, without one the page itself."""
    if address:
        return format_html(
            '<a class="not-sm" href="{}">{}</a><span class="sep not-sm" aria-hidden="true">/</span>', address, label
        )
    return format_html('<span class="clip" aria-current="page">{}</span>', label)


# --- blocks ---------------------------------------------------------------------------------------------------------
@register.simple_block_tag(takes_context=True)
def card(context: Any, content: str, title: str = "", note: str = "", card_id: str = "", flush: bool = False) -> str:
    """`{% card title="Setup" %}…{% endcard %}`; `flush=True` for a table, which brings its own padding."""
    return render_to_string(
        "components/card.html", {"title": title, "note": note, "id": card_id, "flush": flush, "content": content}
    )


@register.simple_block_tag(takes_context=True)
def confirm(context: Any, content: str, name: str, **options: Any) -> str:
    """A question before a step, as a dialog. See components/README.md for its options."""
    request = context["request"]
    error = options.pop("error", "")
    given = {
        "name": name,
        "content": content,
        "error": error,
        "open": bool(error) or request.GET.get("confirm") == name,
        "scope": context.get("scope"),
        "stay": request.path,
        "tone": "primary",
        **options,
    }
    return str(render_to_string("components/confirm.html", given, request=request))


@register.simple_tag
def opens(name: str) -> SafeString:
    """Attributes of the link that opens a confirm dialog; without scripts the link loads the page with it open."""
    return format_html('href="?confirm={0}" data-opens="{0}" aria-haspopup="dialog"', name)


@register.simple_tag
def field(bound: BoundField, **options: Any) -> SafeString:
    """A form field with label, help and error: `{% field form.name %}`."""
    return mark_safe(render_to_string("components/field.html", {"field": bound, **options}))  # noqa: S308


@register.filter
def kind(bound: BoundField) -> str:
    """Which markup a field needs: input, select, textarea, check, choices."""
    widget = type(bound.field.widget).__name__
    return {
        "Select": "select",
        "NullBooleanSelect": "select",
        "SelectMultiple": "multiple",
        "Textarea": "textarea",
        "CheckboxInput": "check",
        "RadioSelect": "choices",
        "CheckboxSelectMultiple": "choices",
        "HiddenInput": "hidden",
    }.get(widget, "input")


@register.filter
def control(bound: BoundField, css: str) -> SafeString:
    """The field's own control with a class added to those that its form gave it."""
    classes = f"{css} {bound.field.widget.attrs.get('class', '')}".strip()
    return bound.as_widget(attrs={"class": classes})


@register.filter
def groups(bound: BoundField) -> list[tuple[str, list[dict[str, Any]]]]:
    """Grouped choices of a field: [(group, [{value, label, selected, id}])]."""
    chosen = [str(value) for value in (bound.value() or [])]
    found = []
    for group, (name, lines) in enumerate(bound.field.choices):  # type: ignore[attr-defined]
        options = [
            {"value": value, "label": label, "selected": value in chosen, "id": f"{bound.auto_id}_{group}_{index}"}
            for index, (value, label) in enumerate(lines)
        ]
        found.append((str(name), options))
    return found


@register.filter
def remedies(problem: DomainError) -> list[problems.Remedy]:
    """What a person can do about a refusal, as buttons and sentences."""
    return problems.remedies(problem)
