"""The reference pages say what the code says."""

import re
from pathlib import Path

from django.conf import settings

from docs import generate

ROOT = Path(settings.BASE_DIR)


def test_reference_pages_are_what_the_code_says_now() -> None:
    assert generate.stale() == [], "run `python -m docs.generate` and commit what it writes"


def test_every_setting_is_described() -> None:
    read = set(re.findall(r'(?:env[.\w]*|_secret|_required|environ\.get)\(\s*"([A-Z_]+)"', _source()))
    described = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE))

    assert {name for name in read if not name.startswith("PYTEST")} == described


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []


def _source() -> str:
    return (ROOT / "lamba_campaigns/settings.py").read_text()


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    """Decisions are found by their folder."""
    docs = ROOT / "docs"
    listed = set(re.findall(r"\]\(([a-z-]+/[\w-]+\.md)\)", (docs / "README.md").read_text()))
    written = {str(path.relative_to(docs)) for path in docs.glob("*/*.md") if path.parent.name != "decisions"}

    assert listed == written
