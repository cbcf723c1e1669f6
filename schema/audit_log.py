"""Who changed what, for administrators."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry

from db.claims import Claims
from domain import ids
from domain.errors import BadUserInput
from resolvers import audit_log
from resolvers.audit_log import Filter
from schema.connection import Connection, connect
from schema.context import Info
from schema.node import RowNode, column, row
from schema.scalars import JSON, from_jsonb


def _person(id: UUID | None) -> strawberry.ID | None:
    return None if id is None else strawberry.ID(ids.encode("Profile", id))


@row("public.audit_log", orders={"NEWEST": audit_log.NEWEST})
@strawberry.type(
    description="A change, recorded by the database. Entries stay; values of an erased person are removed."
)
class AuditEntry(RowNode):
    at: datetime = column("When.")
    actor_id: strawberry.ID | None = column(
        "The profile of the token; null for the server itself and for erased people.", "actor", read=_person
    )
    person_id: strawberry.ID | None = column(
        "The profile that the row is about, if it is about a person.", "person_id", read=_person
    )
    role: str = column("The database role.")
    app_role: str | None = column("admin, analyst or finance, if the token says so.")
    request_id: str | None = column("The x-request-id of the answer; null outside a request.")
    operation: str = column("insert, update, delete, or import.")
    table_name: str = column("With its schema, such as public.products.")
    row_key: JSON = column(
        "The row's key, by column.",
        read=from_jsonb,
        is_jsonb=True,
    )
    changes: JSON = column(
        "Per column {old, new}, or {left_out: true} for secrets and free text; for an import its counts, and "
        "`undone` if it took one back.",
        read=from_jsonb,
        is_jsonb=True,
    )
    times: int = column(
        "How often the request did this; `changes` then covers all of them, `rowKey` and `at` are those of the last."
    )
    erased_at: datetime | None = column("When values of an erased person were removed.")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_administer


@strawberry.input(description="Which entries.")
class AuditLogFilter:
    table_name: str | None = strawberry.field(default=None, description="With its schema, such as public.products.")
    subject_id: strawberry.ID | None = strawberry.field(
        default=None, description="A profile: entries by it or about it."
    )
    since: datetime | None = strawberry.field(default=None, description="No older entries than this.")

    def plain(self) -> Filter:
        subject = None
        if self.subject_id is not None:
            subject = ids.decode_as("Profile", self.subject_id)
            if subject is None:
                raise BadUserInput("`subjectId` is not the id of a profile.")
        return Filter(self.table_name, subject, self.since)


@strawberry.type
class AuditLogQuery:
    @strawberry.field(description="Who changed what, newest first. For administrators.")
    def audit_log(
        self, info: Info, first: int | None = None, after: str | None = None, filter: AuditLogFilter | None = None
    ) -> Connection[AuditEntry]:
        where = audit_log.conditions(info.context.session, filter.plain() if filter else Filter())
        return connect(info, AuditEntry.ROW, audit_log.NEWEST, first=first, after=after, where=where)
