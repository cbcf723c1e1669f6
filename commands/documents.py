"""Generates schema.graphql, docs/schema.md and docs/sql-writes.md; compares schemas; checks trusted documents."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from commands.database import bring_up_to_date
from commands.terminal import connected_as_owner, fail, load_settings
from db import secrets
from db.embedded import Dsns, EmbeddedServer
from settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parent.parent


def schema(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="A file to write (default: print).")] = None,
    check: Annotated[bool, typer.Option(help="Fail when schema.graphql is not what the code says.")] = False,
) -> None:
    """Print the GraphQL schema, or what has changed in it."""
    if context.invoked_subcommand is not None:
        return
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


def diff(
    old: Annotated[Path, typer.Argument(help="An earlier schema.graphql.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """List changes since an earlier schema.graphql that clients may notice. Exit code 1 for breaking changes. Dangerous
    ones, such as a new value of an enum, break clients that are not prepared for them. Needs no database."""
    from engine.compatibility import changes_since

    try:
        changes = changes_since(old.read_text())
    except (OSError, ValueError) as error:
        fail(f"{old}: {error}")
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(changes)).decode())
    else:
        for change in changes:
            print(f"{'breaking ' if change.is_breaking else 'dangerous'}  {change.kind}  {change.description}")
    breaking = sum(change.is_breaking for change in changes)
    if breaking:
        fail(f"breaking changes since {old}: {breaking}")


def docs() -> None:
    """Write docs/schema.md (tables, columns and indexes, with their readers and writers) and docs/sql-writes.md (what
    people may write by SQL). Uses a temporary database."""
    from db import documentation, sql_writes
    from schema.schema import row_types

    async def describe(dsns: Dsns) -> dict[str, str]:
        await bring_up_to_date(dsns)
        async with connected_as_owner(dsns) as owner:
            await documentation.fill(owner)
            return {
                "schema.md": await documentation.describe(owner, row_types()),
                "sql-writes.md": await sql_writes.describe(owner),
            }

    with tempfile.TemporaryDirectory(prefix="aclue-docs-") as folder:
        home = Path(folder)
        with EmbeddedServer(home, secrets.load_or_create(home), is_temporary=True) as dsns:
            pages = asyncio.run(describe(dsns))
    for name, text in pages.items():
        (ROOT / "docs" / name).write_text(text)


def require_manifest(settings: Settings) -> None:
    """Fails with a clear message if the manifest in the settings is invalid, before anything is started."""
    from engine import trusted_documents
    from engine.engine import Engine

    try:
        trusted_documents.load(settings, Engine(settings))
    except SettingsError as error:
        fail(str(error))


def check(
    manifest: Annotated[Path, typer.Argument(help="Written by graphql-codegen, Relay or Apollo.")],
    max_cost: Annotated[int | None, typer.Option(help="Values that an answer may hold at most.", min=0)] = None,
    max_statements: Annotated[int | None, typer.Option(help="SQL statements that are sure to run.", min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """Check every operation of a manifest: whether it is valid, its maximum cost, and its minimum number of SQL
    statements. Exit code 1 for one that is invalid or over a budget. Needs no database."""
    from engine import trusted_documents
    from engine.document_reports import report
    from engine.engine import Engine

    settings = load_settings()
    try:
        documents = trusted_documents.read(manifest)
    except SettingsError as error:
        fail(str(error))
    engine = Engine(settings)
    reports = [each for document in documents for each in report(engine, document)]
    problems = [
        each.problem_within(settings.max_cost if max_cost is None else max_cost, max_statements) for each in reports
    ]
    if as_json:
        paired = zip(reports, problems, strict=True)
        described = [{**msgspec.structs.asdict(each), "problem": problem} for each, problem in paired]
        print(msgspec.json.format(msgspec.json.encode(described)).decode())
    else:
        for each, problem in zip(reports, problems, strict=True):
            figures = f"  cost {each.cost}, SQL statements at least {each.statements}, {each.path}"
            shown = "" if each.cost is None else figures
            print(f"{'NO' if problem else 'ok'}  {each.name} ({each.id}){shown}{f'  {problem}' if problem else ''}")
    if any(problems):
        fail(f"{sum(problem is not None for problem in problems)} of {len(reports)} operations will not do")
