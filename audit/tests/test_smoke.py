from django.db import transaction

from audit import chain, checkpoints, ledger, sealing


def test_a(scope, actor, subject, now):
    with transaction.atomic():
        chain.record(
            scope=scope,
            actor=actor,
            action="campaign.launched",
            subject=subject,
            now=now,
            before={"a": 1},
            after={"mail": "x@y.de", "api_key": "q"},
        )
        e = chain.record(scope=scope, actor=actor, action="campaign.paused", subject=subject, now=now)
        assert e.sequence == 2
        ledger.open_book(
            scope=scope, job_id=3, subject="cmp_1", planned=10, pending=8, excluded={"no_consent": 2}, now=now
        )
        assert ledger.post_new(
            scope=scope,
            job_id=3,
            postings=[ledger.Posting("a", "pending", "in_flight", 3), ledger.Posting("a", "pending", "failed", 3)],
            now=now,
        ) == ["a"]
        assert (
            ledger.post(scope=scope, job_id=3, postings=[ledger.Posting("a", "pending", "in_flight", 3)], now=now) == 0
        )
    print(ledger.balance(scope=scope, job_id=3))
    assert sealing.environments_to_seal() == [scope.environment_id]
    assert sealing.seal(scope=scope, now=now).entry_count == 3
    for c in checkpoints.chains_to_sign(before=now):
        print(checkpoints.as_json(checkpoints.sign(chain_id=c, now=now)))
    e.refresh_from_db()
    print(e.label.actor_label, e.canonical)
