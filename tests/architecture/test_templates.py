"""The content security policy allows no inline style, script or handler, so no template may write one."""

import re
from pathlib import Path

import pytest
from django.template import engines

ROOT = Path(__file__).resolve().parents[2] / "templates"
OWN_POLICY = {"reference.html"}  # a theme attribute that looks like code; it has a looser policy of its own
TEMPLATES = sorted(path for path in ROOT.rglob("*.html") if path.name not in OWN_POLICY)
FORBIDDEN = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.I),
    "a style element": re.compile(r"<style[\s>]", re.I),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)[\s>]", re.I),
    "an event handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.I),
    "an htmx handler": re.compile(r"\shx-on[:=-]", re.I),
    "an evaluated htmx value": re.compile(r"hx-(vals|headers)\s*=\s*['\"]js:", re.I),
    "a foreign address": re.compile(r"(?:src|href)\s*=\s*['\"](?:https?:)?//", re.I),
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_keeps_to_the_policy(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}", "", path.read_text(), flags=re.S)
    assert [what for what, pattern in FORBIDDEN.items() if pattern.search(text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_compiles(path: Path) -> None:
    engines["django"].get_template(_name(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_swap_names_its_own_target(path: Path) -> None:
    """An element that asks for a fragment says where it goes: inheritance of hx-target ends with htmx 4."""
    for tag in re.findall(r"<[^>]*\shx-(?:get|post)=[^>]*>", path.read_text()):
        assert "hx-target=" in tag, tag
