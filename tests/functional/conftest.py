"""What the tests of delivery make, for tests that also start services of their own."""

from delivery.tests.conftest import make_job as make_job
from delivery.tests.conftest import make_people as make_people
from delivery.tests.conftest import make_snapshot as make_snapshot
from delivery.tests.conftest import sink as sink
