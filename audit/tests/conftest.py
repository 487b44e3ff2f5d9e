import pytest

from audit.chain import Subject


@pytest.fixture
def subject() -> Subject:
    return Subject("campaign", "cmp_1", "Spring renewal")
