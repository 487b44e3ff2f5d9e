"""People as they are in a project of some size, and two rules over them. Set-based: a million take seconds."""

from datetime import datetime
from typing import Any

from django.db import connection

from projects.scoping import Scope

SIX: dict[str, Any] = {
    "all": [
        {"field": "membership", "op": "is_one_of", "value": ["active", "suspended", "removed"]},
        {"field": "lifecycle", "op": "is_one_of", "value": ["trial", "customer"]},
        {"field": "last_session", "op": "within_last", "value": 45},
        {"field": "session_count", "op": "at_least", "value": 2},
        {"none": [{"field": "segment", "op": "is", "value": "staff"}]},
        {"field": "role", "op": "is_not", "value": "owner"},
    ]
}
MOST: dict[str, Any] = {
    "all": [
        {"field": "membership", "op": "is_one_of", "value": ["active", "suspended", "removed"]},
        {"field": "lifecycle", "op": "is_one_of", "value": ["trial", "customer", "churn_risk"]},
        {"field": "last_session", "op": "within_last", "value": 400},
        {"field": "session_count", "op": "at_least", "value": 0},
        {"none": [{"field": "segment", "op": "is", "value": "staff"}]},
        {"field": "role", "op": "is_not", "value": "owner"},
    ]
}
_NAMES = """
INSERT INTO audiences_vocabulary (environment_id, kind, name, number)
SELECT %(environment)s, kind, name, number
FROM (VALUES
    ('lifecycle', 'trial', 1), ('lifecycle', 'customer', 2), ('lifecycle', 'churn_risk', 3),
    ('segment', 'staff', 7), ('role', 'owner', 9)
) AS known (kind, name, number)
"""
_PEOPLE = """
WITH made AS (
    INSERT INTO audiences_person
        (environment_id, external_id, public_id, created_at, email, name, given_name, family_name, locale, time_zone,
         country, traits)
    SELECT
        %(environment)s, 'usr_' || i, 'per_' || %(environment)s || '_' || i, %(now)s,
        CASE WHEN i %% 200 = 0 THEN '' WHEN i %% 500 = 3 THEN 'USER' || (i - 1) || '@Example.com'
            ELSE 'user' || i || '@example.com' END,
        'Ada ' || i, 'Ada', 'L' || i, 'en-GB', 'Europe/London', (ARRAY['DE', 'FR', 'GB', 'US', 'AT'])[1 + i %% 5],
        jsonb_build_object('seats', i %% 50)
    FROM generate_series(1, %(people)s) AS i
    RETURNING id, email
)
INSERT INTO audiences_personfacts
    (person_id, environment_id, membership, lifecycle, lifecycle_at, last_session_at, session_count, consent_mask,
     unsubscribed_mask, suppressed_mask, address_state, roles_mask, segments_mask)
SELECT
    id, %(environment)s, CASE WHEN id %% 50 = 0 THEN 4 ELSE 2 END, 1 + id %% 3, %(now)s,
    %(now)s - (id %% 90) * interval '1 day', id %% 40, CASE WHEN id %% 25 = 1 THEN 0 ELSE 1 END,
    CASE WHEN id %% 40 = 2 THEN 1 ELSE 0 END, CASE WHEN id %% 100 = 7 THEN 1 ELSE 0 END,
    audiences_address_state(email), 1 << (id %% 9)::int, 1 << (id %% 7)::int
FROM made
"""


def fill(scope: Scope, people: int, now: datetime) -> None:
    """Some without address, consent or membership, some twins by address; then statistics, as autovacuum would."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES, {"environment": scope.environment_id})
        cursor.execute(_PEOPLE, {"environment": scope.environment_id, "people": people, "now": now})
        for table in ("audiences_person", "audiences_personfacts"):
            cursor.execute(f"VACUUM ANALYZE {table}")
