"""CSV imports of people: the run, its file in parts, and what was wrong with which row."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from projects.scoping import ScopedForeignKey, ScopedModel, ScopedQuerySet


class ImportRun(ScopedModel):
    """One uploaded file. The row is the job: a worker holds the run's advisory lock while it works."""

    id_prefix = "imp"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        CHECKED = "checked", "Checked"  # a dry run ended; nothing was changed
        REFUSED = "refused", "Refused"  # rows were wrong; nothing was changed
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"  # an operator stopped it; nothing was changed

    filename = models.CharField(max_length=200)
    size_bytes = models.PositiveBigIntegerField()
    dry_run = models.BooleanField()
    skip_invalid = models.BooleanField()  # import the right rows although others are wrong
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    columns = ArrayField(models.CharField(max_length=90), default=list)
    row_count = models.PositiveIntegerField(default=0)
    problem_count = models.PositiveIntegerField(default=0)  # rows with at least one problem
    created_count = models.PositiveIntegerField(default=0)
    updated_count = models.PositiveIntegerField(default=0)
    problem = models.TextField(default="")  # why the whole file was refused or failed
    progress_percent = models.PositiveSmallIntegerField(default=0)  # written while it runs, beside its transaction
    progress_rows = models.PositiveIntegerField(default=0)  # read, then written
    cancel_asked_at = models.DateTimeField(null=True)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    created_by = models.CharField(max_length=200)
    asked_by = models.JSONField(default=dict)  # the actor who uploaded it, or started it after a check
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        indexes = [
            # ring_imports: the queue.
            models.Index(
                fields=["created_at"],
                name="audiences_importrun_waiting",
                condition=models.Q(state__in=["queued", "running"]),
            ),
        ]


class ImportFilePart(models.Model):
    """A compressed slice of the file, so that any worker on any host can read it."""

    run = ScopedForeignKey(ImportRun, related_name="parts", db_index=False)
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="import_file_part_is_unique")]


class ImportProblem(models.Model):
    """What is wrong with one cell of one row."""

    run = ScopedForeignKey(ImportRun, related_name="problems", db_index=False)
    environment = models.ForeignKey("projects.Environment", models.PROTECT, related_name="+", db_index=False)
    line = models.PositiveIntegerField()  # of the file, the header is line 1
    column = models.CharField(max_length=90)
    code = models.CharField(max_length=40)
    detail = models.CharField(max_length=300)
    value = models.CharField(max_length=200)  # the start of what was given

    objects = ScopedQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = []  # the reference to the run joins it
        # The detail page and the download read a run's problems in file order.
        indexes = [models.Index(fields=["run", "line"], name="audiences_importproblem_lines")]
