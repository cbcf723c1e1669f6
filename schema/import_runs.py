"""Imports of product feeds, for administrators."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from db.claims import Claims
from db.rows import Order
from resolvers import import_runs
from schema.connection import Connection, connect
from schema.context import Info
from schema.node import Row, RowNode, column, row, to_one
from schema.scalars import JSON, from_jsonb


def _optional(jsonb: str | None) -> object:
    return None if jsonb is None else from_jsonb(jsonb)


@strawberry.enum(description="How an import ended.")
class ImportOutcome(Enum):
    RUNNING = strawberry.enum_value("running", description="It has not ended yet.")
    DONE = strawberry.enum_value("done", description="All of it was written.")
    NOT_MODIFIED = strawberry.enum_value(
        "not_modified", description="The shop's server says that the feed is the one of the last import."
    )
    FAILED = strawberry.enum_value("failed", description="Nothing was written; `error` says why.")
    INTERRUPTED = strawberry.enum_value("interrupted", description="Its process was stopped; nothing was written.")


@row(
    "public.import_runs",
    orders={"NEWEST": Order.by("NEWEST", "r.number", "bigint", descending=True)},
)
@strawberry.type(description="An import of a product feed, or what took one back.")
class ImportRun(RowNode):
    number: int = column("Names it on the command line: `aclue import undo NUMBER`.")
    started_at: datetime = column("When it began.")
    finished_at: datetime | None = column("When it ended; null while it runs.")
    outcome: ImportOutcome = column("How it ended.", read=ImportOutcome)
    started_by: str = column("The user of the command, or `schedule`.")
    source: str | None = column("The name of the source that the feed was fetched from; null for a file.")
    file_name: str | None = column("The name of the file.")
    file_hash: str | None = column("SHA-256 of the file, in hexadecimal.")
    mapping: JSON | None = column("The mapping that was applied.", read=_optional, is_jsonb=True)
    counts: JSON | None = column(
        "How many records were read, rejected, inserted, updated and so on; for an undo, rows by table.",
        read=_optional,
        is_jsonb=True,
    )
    error: str | None = column("Why it failed.")
    undoes: ImportRun | None = to_one("The import that this one took back.", "undoes_id")
    undone_by: ImportRun | None = to_one("The run that took this import back.", "undone_by_id")

    @classmethod
    def may_read(cls, claims: Claims) -> bool:
        return claims.may_administer


@row("public.product_origins", keys=("product_id",))
@strawberry.type(description="Where the values of a product come from.")
class ProductOrigin(Row):
    run: ImportRun = to_one("The import that last set the product.", "run_id")
    line: int | None = column("The line of the feed; null if the feed no longer named the product.")


@strawberry.type
class ImportRunQuery:
    @strawberry.field(description="Imports of product feeds, newest first. For administrators.")
    def import_runs(self, info: Info, first: int | None = None, after: str | None = None) -> Connection[ImportRun]:
        import_runs.require_administrator(info.context.session)
        return connect(info, ImportRun.ROW, ImportRun.ROW.orders["NEWEST"], first=first, after=after)
