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


@strawberry.enum(description="The severity of an entry.")
class LogLevel(Enum):
    DEBUG = strawberry.enum_value("debug", description="For debugging.")
    INFO = strawberry.enum_value("info", description="Normal operation.")
    WARNING = strawberry.enum_value("warning", description="Worth looking at.")
    ERROR = strawberry.enum_value("error", description="Something failed.")
    CRITICAL = strawberry.enum_value("critical", description="The service does not work.")


@row(
    "public.system_logs",
    orders={"NEWEST": Order.by("NEWEST", "r.created_at", "timestamptz", descending=True)},
)
@strawberry.type(
    description="An entry of the system log: a background job, or an internal error. Without personal data."
)
class SystemLog(RowNode):
    level: LogLevel = column("The severity.", read=LogLevel)
    component: str = column("The component that wrote it.")
    message: str = column("What happened.")
    context: JSON = column("Details.", read=from_jsonb, is_jsonb=True)
    request_id: str | None = column("The id of its request: the requestId of an error, the header x-request-id.")
    created_at: datetime = column("When.")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_administer


@strawberry.type
class SystemLogQuery:
    @strawberry.field(description="The system log, newest first. For administrators.")
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
