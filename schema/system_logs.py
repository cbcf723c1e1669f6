"""What the service says of itself."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import cast

import strawberry

from db.claims import Claims
from db.rows import Order
from resolvers import system_logs
from schema.connection import Connection, connect
from schema.context import Info
from schema.node import RowNode, column, row
from schema.scalars import JSON, from_jsonb


@strawberry.enum(description="How much an entry matters.")
class LogLevel(Enum):
    DEBUG = strawberry.enum_value("debug", description="For finding faults.")
    INFO = strawberry.enum_value("info", description="As it should be.")
    WARNING = strawberry.enum_value("warning", description="To be looked at some time.")
    ERROR = strawberry.enum_value("error", description="Something did not work.")
    CRITICAL = strawberry.enum_value("critical", description="The service does not work.")


@row(
    "public.system_logs",
    orders={"NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)},
)
@strawberry.type(description="An entry of the system's log: what housekeeping did, or an error of ours. Nobody's data.")
class SystemLog(RowNode):
    level: LogLevel = column("How much it matters.", read=LogLevel)
    component: str = column("Which part speaks.")
    message: str = column("What happened.")
    context: JSON = column("More about it.", read=from_jsonb, is_jsonb=True)
    request_id: str | None = column(
        "Of the request it was said in: the requestId of an error, the header x-request-id."
    )
    created_at: datetime = column("When.")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_administer


@strawberry.type
class SystemLogQuery:
    @strawberry.field(description="The system's log, newest first. For administrators.")
    def system_logs(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        level: LogLevel | None = None,
        component: str | None = None,
    ) -> Connection[SystemLog]:
        wanted = cast(str, level.value) if level else None
        where = system_logs.conditions(info.context.session, wanted, component)
        newest = SystemLog.ROW.orders["NEWEST"]
        return connect(info, SystemLog.ROW, newest, first=first, after=after, where=where)
