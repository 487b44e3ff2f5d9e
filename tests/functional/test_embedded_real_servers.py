"""Servers of one's own: what DATABASE_URL and REDIS_URL name is asked first, and told apart from a defect of ours."""

import pytest
from django.conf import settings
from django.db import connection

from lamba_campaigns.embedded import real_servers
from lamba_campaigns.embedded.problems import CannotStart

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DATABASE_URL": f"postgres://lamba@{NOWHERE}/lamba"}, "The server that DATABASE_URL names can't be used"),
        ({"DATABASE_URL": "mysql://lamba@localhost/lamba"}, "DATABASE_URL names no PostgreSQL"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL names no PostgreSQL"),
        ({"REDIS_URL": f"redis://{NOWHERE}/0"}, "The server that REDIS_URL names can't be used"),
        ({"REDIS_URL": "nonsense"}, "REDIS_URL names no Redis or Valkey"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_in_words(environment: dict[str, str], said: str) -> None:
    with pytest.raises(CannotStart, match=said) as refused:
        real_servers.require(environment)
    name = next(iter(environment))
    assert f"unset {name} to use the embedded" in str(refused.value)
    assert NOWHERE not in environment[name] or refused.value.lines


def test_servers_that_answer_are_taken(db: None) -> None:
    parameters = connection.get_connection_params()
    address = f"host={parameters['host']}" if parameters.get("host") else ""
    url = f"postgres://{parameters['user']}@/{parameters['dbname']}?{address}&port={parameters.get('port') or 5432}"
    real_servers.require({"DATABASE_URL": url, "REDIS_URL": settings.REDIS_URL})
    real_servers.require({})
