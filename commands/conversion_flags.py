"""Signs of fraud: docs/money.md#signs-of-fraud"""

from __future__ import annotations

from typing import Annotated

import asyncpg
import typer

from commands.ledger import in_one_transaction
from commands.ledger_decisions import MAX_SHOWN, Network, Reason, Reference
from commands.terminal import load_settings
from db.session import Session
from services import conversion_flags
from services.ledger_rows import Key


def list_flags(
    everything: Annotated[bool, typer.Option("--all", help="Also what was released or no longer holds.")] = False,
) -> None:
    """Print why sales are held, the newest first."""

    async def work(session: Session) -> list[asyncpg.Record]:
        return await session.fetch("conversion_flags.listed", held_only=not everything, size=MAX_SHOWN + 1)

    found = in_one_transaction(load_settings(), work, read_only=True)
    for row in found[:MAX_SHOWN]:
        released = f"; released: {row['release_reason']}" if row["release_reason"] else ""
        state = "held" if row["is_held"] else "not held"
        what = f"{row['kind']}: {row['detail']}{released}"
        print(f"{row['network']} {row['reference']}  {row['flagged_at']:%Y-%m-%d %H:%M}  {state}  {what}")
    if len(found) > MAX_SHOWN:
        print(f"and more than {MAX_SHOWN}")


def hold(network: Network, reference: Reference, reason: Reason) -> None:
    """Hold a sale: it counts for nobody as bought, and is left out of payouts. Its figures stay."""
    in_one_transaction(
        load_settings(), lambda session: conversion_flags.hold(session, Key(network.lower(), reference).id, reason)
    )


def release(network: Network, reference: Reference, reason: Reason) -> None:
    """Release a sale from all that holds it."""
    in_one_transaction(
        load_settings(), lambda session: conversion_flags.release(session, Key(network.lower(), reference).id, reason)
    )
