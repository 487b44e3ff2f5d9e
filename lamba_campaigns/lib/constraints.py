"""References that can't leave their environment, and constraint names turned into errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.models.constraints import BaseConstraint

from lamba_campaigns.lib.errors import DomainError


class ScopedReference(BaseConstraint):
    """FOREIGN KEY (environment_id, <field>_id) REFERENCES <target> (environment_id, id)."""

    def __init__(self, *, field: str, name: str, violation_error_message: str | None = None) -> None:
        super().__init__(name=name, violation_error_message=violation_error_message)
        self.field = field

    def _sql(self, model: type[models.Model], editor: BaseDatabaseSchemaEditor) -> str:
        field = model._meta.get_field(self.field)
        target = field.related_model
        assert isinstance(target, type) and issubclass(target, models.Model)
        quote = editor.quote_name
        return (
            f"ALTER TABLE {quote(model._meta.db_table)} ADD CONSTRAINT {quote(self.name)} "
            f"FOREIGN KEY (environment_id, {quote(str(field.column))}) "  # type: ignore[union-attr]
            f"REFERENCES {quote(target._meta.db_table)} (environment_id, id)"
        )

    def constraint_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """Nothing inside CREATE TABLE: the statement is deferred until the target table surely exists."""
        assert model is not None and schema_editor is not None
        schema_editor.deferred_sql.append(
            Statement(self._sql(model, schema_editor), table=Table(model._meta.db_table, schema_editor.quote_name))
        )
        return ""

    def create_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None and schema_editor is not None
        return self._sql(model, schema_editor)

    def remove_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None and schema_editor is not None
        quote = schema_editor.quote_name
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """Left to Postgres: only it sees both rows at commit."""

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, tuple(args), {**kwargs, "field": self.field}

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ScopedReference):
            return (self.name, self.field) == (other.name, other.field)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.name, self.field))


@contextmanager
def translated(errors: Mapping[str, DomainError]) -> Iterator[None]:
    """Turn a violated constraint into the error that its name stands for; any other violation passes through."""
    try:
        yield
    except IntegrityError as violation:
        name = getattr(getattr(violation.__cause__, "diag", None), "constraint_name", None)
        if name is not None and name in errors:
            raise errors[name] from violation
        raise
