"""A campaign that is ready, for the tests that send one."""

from campaigns.tests.conftest import (
    growth,
    launch_it,
    make_audience,
    make_draft,
    make_people,
    make_template,
    plan,
    postbox,
    send_it,
)

__all__ = [
    "growth",
    "launch_it",
    "make_audience",
    "make_draft",
    "make_people",
    "make_template",
    "plan",
    "postbox",
    "send_it",
]
