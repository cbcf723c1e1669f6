"""Parts that the types of the ledger have in common."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import strawberry

from domain import ids
from domain.errors import BadUserInput
from schema.node import column
from schema.products import Money


def money(description: str, name: str) -> Any:
    """A field with the amount of the column `name`, in the row's currency."""
    return column(description, name, "currency", read=Money.of)


_FIGURES = {
    "expected": "What the terms of the clicks give for the sales first reported.",
    "tracked": "The commission first reported of conversions with a click.",
    "pending": "Reported, not decided.",
    "approved": "Approved, not paid.",
    "declined": "What was pending when it was declined or voided.",
    "reversed": "Taken back after approval, before payment.",
    "paid": "Paid, and not taken back.",
    "clawback": "Taken back after payment.",
}


def figure(name: str) -> Any:
    """A field with a figure of the ledger: docs/money.md#figures."""
    return strawberry.field(description=_FIGURES[name])


def key_of(type_name: str, id: strawberry.ID | None, name: str) -> UUID | None:
    """The key of an id in a filter. Raises BadUserInput for one of another type."""
    if id is None:
        return None
    key = ids.decode_as(type_name, id)
    if key is None:
        raise BadUserInput(f"`{name}` is not the id of a {type_name}.")
    return key


def reason_field() -> str:
    """The field of an input that says why something is decided."""
    field: str = strawberry.field(description="Why, in 1 to 1000 characters; it is kept.")
    return field
