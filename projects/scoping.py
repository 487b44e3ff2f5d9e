"""Everything belongs to one environment. A query that does not say which one is an error."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from django.db import models

from lamba_campaigns.lib.constraints import ScopedReference
from lamba_campaigns.lib.ids import ID_LENGTH_MAX, new_id

EnvironmentName = Literal["sandbox", "production"]
ENVIRONMENT_ALIASES: dict[str, EnvironmentName] = {
    "test": "sandbox",
    "sandbox": "sandbox",
    "prod": "production",
    "production": "production",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a call happens: one environment of one project of one workspace. Numbers are primary keys."""

    workspace_id: int
    project_id: int
    environment_id: int
    workspace: str  # wrk_…
    project: str  # prj_…
    environment: EnvironmentName
    workspace_slug: str
    project_slug: str
    workspace_name: str
    project_name: str
    time_zone: str  # IANA name; schedules and rules are read in it

    @property
    def is_production(self) -> bool:
        return self.environment == "production"

    @property
    def path(self) -> str:
        """The console's address prefix, without slashes at its ends."""
        return f"{self.workspace_slug}/{self.project_slug}/{self.environment}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who decided. `label` is shown to people; `origin` is console, api, webhook or system."""

    kind: Literal["user", "api_key", "system", "webhook"]
    id: str
    label: str
    origin: Literal["console", "api", "webhook", "system"]
    ip: str = ""
    trace_id: str = ""


SYSTEM = Actor(kind="system", id="system", label="System", origin="system")


class UnscopedQuery(RuntimeError):
    """A query ran without `.within(scope)`. A bug: it would have mixed environments."""


class ScopedQuerySet(models.QuerySet["Any"]):
    """Evaluates only after `.within(scope)`, or after `.across_environments(why)` in sweeps and checks."""

    _scoped = False

    def within(self, scope: Scope) -> Self:
        found = self.filter(environment_id=scope.environment_id)
        found._scoped = True
        return found

    def across_environments(self, why: str) -> Self:
        """For sweeps, which serve every environment. `why` is for the reader."""
        assert why
        found = self.all()
        found._scoped = True
        return found

    def _clone(self) -> Self:
        copy: Self = super()._clone()  # type: ignore[misc]
        copy._scoped = self._scoped
        return copy

    def _require_scope(self) -> None:
        if not (self._scoped or getattr(self, "_hints", {}).get("instance") is not None):
            raise UnscopedQuery(f"{self.model.__name__}.objects needs .within(scope) before it reads or writes.")

    def _fetch_all(self) -> None:
        if self._result_cache is None:
            self._require_scope()
        super()._fetch_all()

    def iterator(self, chunk_size: int | None = None) -> Any:
        self._require_scope()
        return super().iterator(chunk_size=chunk_size)

    def count(self) -> int:
        self._require_scope()
        return super().count()

    def exists(self) -> bool:
        self._require_scope()
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._require_scope()
        return super().aggregate(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        self._require_scope()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._require_scope()
        return super().delete()


class ScopedForeignKey(models.ForeignKey[Any, Any]):
    """A reference to a row of the same environment, kept by a composite foreign key in Postgres itself.

    The target must be a ScopedModel too. The plain single-column constraint would say less, so it is left out.
    """

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False, **kwargs: Any
    ) -> None:
        super().contribute_to_class(cls, name, private_only, **kwargs)
        options = cls._meta
        if options.abstract or cls.__module__ == "__fake__":  # a migration's model: its operations name the constraint
            return
        reference = ScopedReference(field=name, name=f"{options.app_label}_{options.model_name}_{name}_scope")
        if all(constraint.name != reference.name for constraint in options.constraints):
            options.constraints = [*options.constraints, reference]
            options.original_attrs.setdefault("constraints", options.constraints)  # else migrations overlook it

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_constraint", None)
        return name, path, args, kwargs


class ScopedModel(models.Model):
    """Base of every row of the control plane. Subclass `Meta(ScopedModel.Meta)` and extend its constraints."""

    id_prefix: ClassVar[str]

    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+")
    public_id = models.CharField(max_length=ID_LENGTH_MAX, unique=True, editable=False)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        abstract = True
        constraints = [models.UniqueConstraint(fields=["environment", "id"], name="%(app_label)s_%(class)s_in_scope")]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.public_id:
            self.public_id = new_id(self.id_prefix)


def normalise_environment(name: str) -> EnvironmentName | None:
    """`test` and `prod`, as Lamba sends them, become `sandbox` and `production`; anything else is None."""
    return ENVIRONMENT_ALIASES.get(name)
