"""What is written from the code: schema.graphql and docs/schema.md."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from commands.database import bring_up_to_date
from commands.terminal import connected_as_owner, fail
from db import secrets
from db.embedded import Dsns, EmbeddedServer

ROOT = Path(__file__).resolve().parent.parent


def schema(
    output: Annotated[Path | None, typer.Option(help="A file to write (default: print).")] = None,
    check: Annotated[bool, typer.Option(help="Fail when schema.graphql is not what the code says.")] = False,
) -> None:
    """Print the GraphQL schema."""
    from schema.schema import build

    text = build().as_str() + "\n"
    if check:
        committed = ROOT / "schema.graphql"
        if not committed.exists() or committed.read_text() != text:
            fail("schema.graphql is stale; run `make schema`")
    elif output:
        output.write_text(text)
    else:
        print(text, end="")


def docs() -> None:
    """Write docs/schema.md: tables, columns and indexes, who writes and reads them. On a database of its own."""
    from db import documentation
    from schema.schema import row_types

    async def describe(dsns: Dsns) -> str:
        await bring_up_to_date(dsns)
        async with connected_as_owner(dsns) as owner:
            await documentation.fill(owner)
            return await documentation.describe(owner, row_types())

    with tempfile.TemporaryDirectory(prefix="aclue-docs-") as folder:
        home = Path(folder)
        with EmbeddedServer(home, secrets.load_or_create(home)) as dsns:
            text = asyncio.run(describe(dsns))
    (ROOT / "docs" / "schema.md").write_text(text)
