"""Imports go downwards only, nobody reaches into another app's edges, and the models are what the migrations say."""

import ast
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]
APPS = ("projects", "audit", "webhooks", "limits", "audiences", "campaigns", "delivery")
EDGES = {"views", "api", "tasks", "forms", "urls", "sql"}


def test_imports_go_downwards_only() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_imports_the_edges_of_another_app() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for app in APPS
        for path in sorted((ROOT / app).rglob("*.py"))
        for line, module in _imports(path)
        for other, *rest in [module.split(".")]
        if other in APPS and other != app and rest and rest[0] in EDGES
    ]
    assert wrong == []


def _imports(path: Path) -> list[tuple[int, str]]:
    """Every module that the file imports; `from projects import views` counts as projects.views."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
    return found


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    said = StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=said, stderr=said)
    assert "No changes detected" in said.getvalue()
