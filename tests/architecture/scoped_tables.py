"""Where the schema departs from "a composite foreign key for every reference", why, and the query that proves it holds.

Mass tables carry no foreign-key trigger: it costs seven times the write. Each has a construction instead.
"""

from dataclasses import dataclass

# Tables of ours that carry no environment, and what they are scoped by instead.
WITHOUT_ENVIRONMENT: dict[str, str] = {
    "projects_workspace": "it is above environments",
    "projects_project": "it is above environments",
    "projects_environment": "it is the environment",
    "projects_member": "membership belongs to the workspace",
    "projects_preference": "what a person chose for themselves, everywhere",
    "limits_plancatalogue": "what is sold is the same for everybody",
    "limits_subscription": "the workspace has the plan",
    "limits_workspaceaddon": "the workspace buys add-ons",
    "limits_usagecounter": "a pool is the workspace's production, or one sandbox; its name says which",
    "audit_entrylabel": "words beside one audit entry, read by the entry's own key",
    "delivery_installation": "one row: which installation this database belongs to",
}


@dataclass(frozen=True)
class Loose:
    """A number that points to a scoped row without a composite foreign key. `target` is `table.column`."""

    target: str
    why: str

    def proof(self, table: str, column: str) -> str:
        """Counts the rows that point into another environment."""
        target, key = self.target.split(".")
        return (
            f"SELECT count(*) FROM {table} s JOIN {target} t ON t.{key} = s.{column} "  # noqa: S608 - names of ours
            f"WHERE t.environment_id IS DISTINCT FROM s.environment_id"
        )


PERSON = "people are looked up by (environment, external id) and written in one statement with the same environment"
JOB = "rows of a job are written by statements that take the environment from the job itself"
EVIDENCE = "audit stands below delivery and keeps plain ids: history outlives its subject"

WITHOUT_FOREIGN_KEY: dict[tuple[str, str], Loose] = {
    ("audiences_contact", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_contact", "subject_id"): Loose(
        "audiences_contactsubject.id", "the subject's row gives the environment"
    ),
    ("audiences_fact", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_facthistory", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_factrecord", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_personfacts", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_lambamember", "person_id"): Loose("audiences_person.id", PERSON),
    ("audiences_snapshotmember", "snapshot_id"): Loose("audiences_snapshot.id", "one INSERT .. SELECT freezes them"),
    ("audiences_snapshotmember", "person_id"): Loose("audiences_person.id", "one INSERT .. SELECT freezes them"),
    ("audit_book", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_break", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_statement", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_outsidereport", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_ledgerbatch", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_ledgerentry", "job_id"): Loose("delivery_sendjob.id", EVIDENCE),
    ("audit_ledgerentry", "batch_id"): Loose("audit_ledgerbatch.id", "written in the statement that writes its batch"),
    ("delivery_capturedmail", "job_id"): Loose("delivery_sendjob.id", "both numbers come from one sealed token"),
    ("delivery_consentevent", "person_id"): Loose("audiences_person.id", PERSON),
    ("delivery_consentevent", "job_id"): Loose("delivery_sendjob.id", "both numbers come from one sealed token"),
    ("delivery_inboxitem", "job_id"): Loose("delivery_sendjob.id", JOB),
    ("delivery_inboxitem", "person_id"): Loose("audiences_person.id", "copied from the message of the same place"),
    ("delivery_jobdomain", "job_id"): Loose("delivery_sendjob.id", JOB),
    ("delivery_jobminute", "job_id"): Loose("delivery_sendjob.id", JOB),
    ("delivery_message", "job_id"): Loose("delivery_sendjob.id", JOB),
    ("delivery_message", "person_id"): Loose("audiences_person.id", JOB),
    ("delivery_receipt", "job_id"): Loose("delivery_sendjob.id", "a receipt is matched within its environment"),
    ("delivery_sendjob", "content_id"): Loose("campaigns_templateversion.id", "delivery stands below campaigns"),
    ("delivery_topicchoice", "topic_id"): Loose("delivery_topic.id", "topics.choose takes the topic within the scope"),
    ("delivery_topicchoice", "person_id"): Loose("audiences_person.id", "topics.choose takes people within the scope"),
    ("webhooks_inboundevent", "endpoint_id"): Loose("webhooks_endpoint.id", "the endpoint's row gives both numbers"),
}

# References by one column between scoped tables.
WITHOUT_ENVIRONMENT_IN_KEY: dict[tuple[str, str], Loose] = {
    ("audit_auditentry", "chain_id"): Loose("audit_chain.id", "chains of workspace and platform have no environment"),
    ("audit_checkpoint", "chain_id"): Loose("audit_chain.id", "chains of workspace and platform have no environment"),
}

# Mass tables whose environment_id itself has no foreign key; environments are never deleted.
WITHOUT_ENVIRONMENT_KEY: set[str] = {
    "audiences_contact",
    "audiences_fact",
    "audiences_facthistory",
    "audiences_factrecord",
    "audiences_lambamember",
    "audiences_person",
    "audiences_personfacts",
    "audiences_snapshotmember",
    "audit_ledgerentry",
    "delivery_consentevent",
    "delivery_inboxitem",
    "delivery_jobdomain",
    "delivery_jobminute",
    "delivery_message",
    "delivery_receipt",
    "delivery_relayuse",
    "delivery_topicchoice",
    "webhooks_inboundconflict",
    "webhooks_inboundevent",
    "webhooks_inboundlease",
}

PROOFS: dict[tuple[str, str], str] = {
    (table, column): loose.proof(table, column)
    for (table, column), loose in {**WITHOUT_FOREIGN_KEY, **WITHOUT_ENVIRONMENT_IN_KEY}.items()
}
