"""Senders of postbacks, and what was received: docs/money.md#postbacks."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from commands.ledger import in_one_transaction, mapping_of
from commands.terminal import fail, load_settings, secret_of, uuid_of
from db.session import Session
from domain.ledger.generic import Mapping
from domain.ledger.postbacks import READERS
from domain.sealing import Sealer
from services import ledger, postbacks
from services.postbacks import Sender

MAX_LISTED = 100

Id = Annotated[str, typer.Argument(help="As `aclue network postback list` says.")]


def _mapping(file: Path) -> Mapping:
    mapping = mapping_of(file)
    if mapping.format == "csv":
        fail(f"{file}: format: postbacks are parameters or json")
    return mapping


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        fail(f"--address: {error}; write 192.0.2.7 or 192.0.2.0/24")


def add(
    network: Annotated[str, typer.Argument(help="The code of the network.")],
    name: Annotated[str, typer.Option(help="Who sends; reports name it.")] = "",
    signed: Annotated[bool, typer.Option("--signed", help="An own sender, which signs its messages.")] = False,
    address: Annotated[
        list[str] | None, typer.Option(help="An address or network it sends from. Default: any.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="How its messages are read (TOML). Awin, impact and Rakuten need none.")
    ] = None,
) -> None:
    """Let a network or an own sender send postbacks. Prints its URL, and the key of a signed one: both are shown this
    once only."""
    code = network.strip().lower()
    if mapping is None and code not in READERS:
        fail(f"--mapping: {network} needs one; without one: {', '.join(sorted(READERS))}")
    settings = load_settings()
    sealer = Sealer((settings.encryption_secret or secret_of(settings)).encode(), "postback")
    if len(name) > 100:
        fail("--name: at most 100 characters")
    addresses = [_network(each) for each in address or ()]
    parsed = _mapping(mapping) if mapping is not None else None

    async def work(session: Session) -> Sender:
        if await ledger.unknown_networks(session, [code]):
            fail(f"there is no network {network}")
        return await postbacks.add_sender(
            session,
            sealer,
            code,
            name=name.strip() or code,
            is_signed=signed,
            addresses=addresses,
            mapping=parsed,
        )

    sender = in_one_transaction(settings, work)
    print(f"{settings.base_url}/postbacks/{code}/{sender.secret}")
    if sender.key is not None:
        print(f"key of its signatures: {sender.key}")


def list_senders() -> None:
    """Print who may send postbacks, and what they have sent today."""
    settings = load_settings()

    async def work(session: Session) -> list[str]:
        return [
            "  ".join(
                (
                    str(row["id"]),
                    f"{row['affiliate_network']:16}{row['name']:24}",
                    "revoked" if row["revoked_at"] else "signed" if row["is_signed"] else "secret",
                    f"{row['received_bytes']:>10} of {settings.max_postback_bytes_per_day} bytes today",
                    ", ".join(row["addresses"]) or "any address",
                    "mapped" if row["is_mapped"] else "",
                )
            ).rstrip()
            for row in await session.fetch("postbacks.senders")
        ]

    for line in in_one_transaction(settings, work, read_only=True):
        print(line)


def revoke(id: Id) -> None:
    """Refuse a sender's messages from now on. What was received stays."""
    found = uuid_of(id, "ID")

    async def work(session: Session) -> str | None:
        name: str | None = await session.fetchval("postbacks.revoke_sender", id=found)
        return name

    if in_one_transaction(load_settings(), work) is None:
        fail(f"there is no sender {id}, or it is revoked already")


def remap(id: Id, file: Annotated[Path, typer.Argument(help="The mapping (TOML).")]) -> None:
    """Read a sender's messages by another mapping; retry then reads those that failed."""
    found = uuid_of(id, "ID")
    encoded = postbacks.encoded(_mapping(file))

    async def work(session: Session) -> str | None:
        name: str | None = await session.fetchval("postbacks.map_sender", id=found, mapping=encoded)
        return name

    if in_one_transaction(load_settings(), work) is None:
        fail(f"there is no sender {id}")


def list_received(
    failed: Annotated[bool, typer.Option("--failed", help="Only those that could not be read.")] = False,
) -> None:
    """Print the newest postbacks, at most 100, and what is wrong with them."""

    async def work(session: Session) -> list[str]:
        rows = await session.fetch("postbacks.received", only_failed=failed, maximum=MAX_LISTED)
        return [
            "  ".join(
                (
                    str(row["id"]),
                    f"{row['received_at']:%Y-%m-%d %H:%M:%S}",
                    f"{row['affiliate_network']:16}{row['name']:24}{row['status']:8}",
                    f"{row['reports']} reports" if row["reports"] is not None else "",
                    row["error"] or "",
                )
            ).rstrip()
            for row in rows
        ]

    for line in in_one_transaction(load_settings(), work, read_only=True):
        print(line)


def retry(
    id: Annotated[str, typer.Argument(help="As `aclue network postbacks list` says. Default: all that failed.")] = "",
) -> None:
    """Read again what failed: a running server does so within seconds."""
    found = uuid_of(id, "ID")

    async def work(session: Session) -> int:
        return len(await session.fetch("postbacks.retry", id=found))

    done = in_one_transaction(load_settings(), work)
    if id and not done:
        fail(f"there is no postback {id} that failed")
    print(f"{done} wait to be read again")
