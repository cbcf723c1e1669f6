"""Fallback switches: docs/switches.md"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from commands.ledger import in_one_transaction
from commands.terminal import fail, load_settings
from db.session import Session
from domain.switches import Switch
from services import switches

Name = Annotated[Switch, typer.Argument(help="What to switch.", metavar="NAME", show_choices=True)]
MAX_REASON_LENGTH = 500
Result = TypeVar("Result")


def list_switches() -> None:
    """List the switches: whether they are on, since when, and why one is off."""

    async def work(session: Session) -> list[asyncpg.Record]:
        return await session.fetch("switches.all")

    table = Table(box=None, pad_edge=False)
    for title in ("switch", "is", "since", "reason"):
        table.add_column(title)
    rows = {row["name"]: row for row in _in_one_transaction(work)}
    for switch in Switch:
        row = rows.get(switch.value)
        if row is None:
            table.add_row(switch.value, "on", "", "")
        else:
            is_on, since = "on" if row["is_on"] else "off", f"{row['changed_at']:%Y-%m-%d %H:%M}"
            table.add_row(switch.value, is_on, since, row["reason"] or "")
    Console(width=160 if not Console().is_terminal else None).print(table)


def switch_on(name: Name) -> None:
    """Switch something on again. Servers follow within about a second."""
    _switch(name, is_on=True, reason=None)


def switch_off(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for other operators; people are not shown it.")] = "",
) -> None:
    """Switch something off. Servers follow within about a second."""
    if len(reason) > MAX_REASON_LENGTH:
        fail(f"--reason: it has {len(reason)} characters, at most {MAX_REASON_LENGTH} are stored")
    _switch(name, is_on=False, reason=reason)


def _switch(name: Switch, *, is_on: bool, reason: str | None) -> None:
    async def work(session: Session) -> asyncpg.Record:
        return await switches.set_switch(session, name, is_on=is_on, reason=reason)

    row = _in_one_transaction(work)
    print(f"{row['name']}: {'on' if row['is_on'] else 'off'}")


def _in_one_transaction(work: Callable[[Session], Awaitable[Result]]) -> Result:
    failure = "the switches cannot be read or written"
    return in_one_transaction(load_settings(), work, timeout_ms=None, failure=failure)
