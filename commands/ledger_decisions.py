"""What people decide about the ledger: docs/money.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from commands.ledger import in_one_transaction
from commands.terminal import fail, load_settings, uuid_of
from db.session import Session
from domain.affiliate import decode_token
from services import ledger_decisions
from services.ledger_rows import Key

MAX_SHOWN = 1000

Network = Annotated[str, typer.Argument(help="The code of the network, such as awin.")]
Reference = Annotated[str, typer.Argument(help="The conversion's reference there.")]
Exception_ = Annotated[str, typer.Argument(metavar="EXCEPTION", help="The id that `aclue ledger exceptions` prints.")]
Reason = Annotated[str, typer.Option(help="Why, in 1 to 1000 characters; it is kept.")]


def _do(work: Callable[[Session], Awaitable[None]]) -> None:
    in_one_transaction(load_settings(), work)


def _conversion(network: str, reference: str) -> UUID:
    return Key(network.lower(), reference).id


def _exception(text: str) -> UUID:
    found = uuid_of(text, "EXCEPTION")
    if found is None:
        fail("EXCEPTION is missing")
    return found


def match(
    network: Network,
    reference: Reference,
    reason: Reason,
    click: Annotated[str, typer.Option(help="The token of the click: the last part of the tracked link.")] = "",
    shop: Annotated[str, typer.Option(help="The slug of the shop, if no click is known.")] = "",
    placement: Annotated[str, typer.Option(help="The tracking id of the placement, if no click is known.")] = "",
) -> None:
    """Say where a conversion came from: a click, or only a shop or a placement."""
    if sum(map(bool, (click, shop, placement))) != 1:
        fail("give one of --click, --shop and --placement")
    token = decode_token(click.rpartition("/")[2].lower()) if click else None
    if click and token is None:
        fail(f"--click: {click} is not the token of a tracked link")

    async def work(session: Session) -> None:
        conversion = _conversion(network, reference)
        if token is not None:
            await ledger_decisions.match_click(session, conversion, token, reason)
        else:
            await ledger_decisions.match_shop(
                session, conversion, reason, slug=shop or None, tracking_id=placement or None
            )

    _do(work)


def adjust(
    network: Network,
    reference: Reference,
    amount: Annotated[str, typer.Argument(help="The commission that stands, such as 12.50.")],
    reason: Reason,
    at: Annotated[str, typer.Option(help="From when on, such as 2026-08-01T00:00:00Z (default: now).")] = "",
) -> None:
    """Say what a conversion earns, until the network says something of a later time."""
    try:
        decimal = Decimal(amount)
    except InvalidOperation:
        fail(f"AMOUNT: {amount} is no amount such as 12.50")
    try:
        time = datetime.fromisoformat(at) if at else None
    except ValueError:
        fail(f"--at: {at} is no time such as 2026-08-01T00:00:00Z")
    if time is not None:
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    _do(lambda session: ledger_decisions.adjust(session, _conversion(network, reference), decimal, reason, time))


def accept(exception: Exception_, reason: Reason) -> None:
    """Let happen what an exception is about: a payment settles its rows, a state is taken."""
    _do(lambda session: ledger_decisions.accept(session, _exception(exception), reason))


def decline(exception: Exception_, reason: Reason) -> None:
    """Close an exception for good, without anything moving."""
    _do(lambda session: ledger_decisions.decline(session, _exception(exception), reason))


def list_exceptions() -> None:
    """Print the exceptions that are open, the oldest first."""

    async def work(session: Session) -> list[asyncpg.Record]:
        return await session.fetch("ledger_decisions.open_exceptions", size=MAX_SHOWN + 1)

    found = in_one_transaction(load_settings(), work, read_only=True)
    for row in found[:MAX_SHOWN]:
        print(f"{row['id']}  {row['concerns_on']}  {row['network']} {row['reference']}: {row['detail']}")
    if len(found) > MAX_SHOWN:
        print(f"and more than {MAX_SHOWN}")
