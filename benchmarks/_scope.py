"""An environment of the benchmark's own in the benchmark's database."""

import os

from projects import access
from projects.models import Environment, Project, Workspace
from projects.scoping import Scope


def new_scope(name: str) -> Scope:
    """Production of a new project in a new workspace."""
    workspace = Workspace.objects.create(slug=f"{name}-{os.urandom(3).hex()}", name=name)
    project = Project.objects.create(workspace=workspace, slug="app", name="App", time_zone="UTC")
    row = Environment.objects.create(
        project=project, name="production", sender_name="Bench", sender_address="hello@bench.example"
    )
    return access.scope_of(row)
