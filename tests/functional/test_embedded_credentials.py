"""What `make run` prints opens the database that is used now, also after another one was used in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import World
from lamba_campaigns.embedded import seed
from lamba_campaigns.embedded.folder import Folder
from lamba_campaigns.embedded.seed import accounts
from lamba_campaigns.embedded.summary import Credentials, read_credentials, write_credentials
from projects.models import ApiKey


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Folder:
    settings.VAR_DIR = tmp_path
    return Folder(tmp_path)


def credentials(key: str) -> Credentials:
    entrance = dict.fromkeys(("lamba_endpoint", "lamba_secret", "provider_endpoint", "provider_secret"), "x")
    return accounts.invent() | {"complete": True, "environments": {"production": {"api_key": key, **entrance}}}  # type: ignore[return-value]


def test_credentials_of_another_database_are_set_aside_and_come_back(
    world: World, folder: Folder, make_key: Callable[..., str]
) -> None:
    ours = credentials(make_key(world.production))
    theirs = credentials(make_key(world.sandbox))
    write_credentials(folder, theirs)
    gone = ApiKey.objects.within(world.sandbox).get()
    gone.delete()

    assert seed.ensure() == "left out: this database has workspaces of its own"
    assert read_credentials(folder.credentials) is None

    write_credentials(folder, ours)
    assert seed.ensure() == "kept"
    gone.save(force_insert=True)
    ApiKey.objects.within(world.production).delete()
    assert seed.ensure() == "kept"
    assert read_credentials(folder.credentials) == theirs
