"""A query says which environment it means, and Postgres refuses what would mix two."""

from collections.abc import Callable

import pytest
from django.db import models
from django.db.migrations.state import ModelState
from django.test.utils import isolate_apps

from conftest import World
from projects.models import ApiKey
from projects.scoping import Scope, ScopedForeignKey, UnscopedQuery, normalise_environment


def test_a_query_without_a_scope_is_an_error(db: None) -> None:
    with pytest.raises(UnscopedQuery):
        list(ApiKey.objects.all())
    with pytest.raises(UnscopedQuery):
        ApiKey.objects.filter(name="x").update(name="y")
    with pytest.raises(UnscopedQuery):
        ApiKey.objects.count()


def test_a_scoped_query_sees_its_own_environment_only(world: World, make_key: Callable[..., str], scope: Scope) -> None:
    make_key(world.sandbox)
    make_key(world.stranger)
    make_key(scope)

    assert [key.environment_id for key in ApiKey.objects.within(scope)] == [scope.environment_id]


@pytest.mark.parametrize(
    ("given", "kept"), [("test", "sandbox"), ("prod", "production"), ("sandbox", "sandbox"), ("staging", None)]
)
def test_environment_names_of_lamba_are_normalised(given: str, kept: str | None) -> None:
    assert normalise_environment(given) == kept


def test_a_reference_reaches_the_migration_of_a_model_that_names_no_constraints() -> None:
    with isolate_apps("projects"):

        class Bare(models.Model):
            environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
            key = ScopedForeignKey("projects.ApiKey", related_name="+")

            class Meta:
                app_label = "projects"

        found = ModelState.from_model(Bare, exclude_rels=True)
    assert [each.name for each in found.options["constraints"]] == ["projects_bare_key_scope"]
