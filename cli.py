"""The `aclue` command. Thin: each command says what it needs and calls the rest of the code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import typer
import uvicorn
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import settings as settings_module
from db import demo, embedded, migrations, product_imports, secrets
from db.embedded import Dsns, EmbeddedServer
from db.migrations import MigrationError
from db.queries import QUERIES
from domain.feeds import ImportFailed
from resolvers import preferences
from resolvers.services import Services
from resolvers.tokens import Tokens
from server import configure_logging, create_app
from settings import Settings, SettingsError

app = typer.Typer(
    help="Aclue: a GraphQL API over Postgres for gifting.", no_args_is_help=True, pretty_exceptions_enable=False
)
imports = typer.Typer(help="Bring data in.", no_args_is_help=True)
rebuild = typer.Typer(help="Compute derived data anew.", no_args_is_help=True)
app.add_typer(imports, name="import")
app.add_typer(rebuild, name="rebuild")
console = Console(stderr=True)

DEMO_TOKEN_LIFETIME = 24 * 3600
ROLES = ("anon", "authenticated", "service_role", "admin", "analyst")


def fail(message: str) -> NoReturn:
    """One clear line, and exit code 1."""
    console.print(f"aclue: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def _settings() -> Settings:
    try:
        return settings_module.load()
    except SettingsError as error:
        fail(str(error))


def _secret(settings: Settings) -> str:
    """JWT_SECRET, or in development the data folder's own."""
    try:
        return settings.jwt_secret or secrets.load_or_create(settings.home).jwt
    except SettingsError as error:
        fail(str(error))


@contextlib.contextmanager
def _databases(settings: Settings, *, owning: bool = False) -> Iterator[Dsns]:
    """Where to log in. Without DATABASE_URL: the embedded server, attached to where it runs (unless `owning`), else
    started for the length of the block."""
    if not settings.uses_embedded_server:
        yield Dsns(api=settings.database_url, owner=settings.migration_database_url or None)
        return
    try:
        kept = secrets.load_or_create(settings.home)
        running = None if owning else embedded.running_dsns(settings.home, kept)
        with contextlib.nullcontext(running) if running else EmbeddedServer(settings.home, kept) as dsns:
            yield dsns
    except SettingsError as error:
        fail(str(error))


@contextlib.asynccontextmanager
async def _connected(dsn: str, variable: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fail(f"{variable}: cannot connect: {error or type(error).__name__}")
    try:
        yield connection
    finally:
        await connection.close()


def _owner(dsns: Dsns) -> str:
    return dsns.owner or dsns.api


async def _migrate(dsns: Dsns) -> int:
    """Applies what is pending; how many files that were."""
    async with _connected(_owner(dsns), "MIGRATION_DATABASE_URL" if dsns.owner else "DATABASE_URL") as owner:
        with _progress("Migrating") as advance:
            done = await migrations.migrate(owner, on_applied=lambda name: advance(name))
        await migrations.ensure_api_login(owner, dsns.api)
    return len(done.names)


@contextlib.contextmanager
def _progress(title: str) -> Iterator[Any]:
    """A spinner on the terminal with a line of text that the yielded function sets."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda text: progress.update(task, description=f"{title}: {text}")


async def _check_schema(dsns: Dsns) -> None:
    async with _connected(dsns.api, "DATABASE_URL") as api:
        await migrations.check_version(api)
        if not await api.fetchval("select to_regclass('public.product_views') is not null"):
            fail("the database of DATABASE_URL is not migrated: run `aclue migrate` with MIGRATION_DATABASE_URL set")


async def _prepare(settings: Settings, dsns: Dsns, secret: str) -> str | None:
    """Makes the database ready to be served; a demo token in development, where the owner's log-in is at hand."""
    if settings.is_production or dsns.owner is None:
        await _check_schema(dsns)
        return None
    await _migrate(dsns)
    async with _connected(dsns.owner, "MIGRATION_DATABASE_URL") as owner:
        with _progress("Loading the demo catalogue") as advance:
            await demo.load_catalogue(owner, lambda rows: advance(f"{rows} rows"))
        if not await owner.fetchval(QUERIES["accounts.are_ours"].sql):
            return None
        account = await demo.ensure_account(owner, demo.EMAIL)
    token, _ = Tokens(settings, secret).issue(account, email=demo.EMAIL, lifetime=DEMO_TOKEN_LIFETIME)
    return token


class _Server(uvicorn.Server):
    """Says where it is once it answers."""

    def __init__(self, config: uvicorn.Config, banner: str) -> None:
        super().__init__(config)
        self._banner = banner

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._banner, flush=True)


def _banner(settings: Settings, token: str | None) -> str:
    lines = [
        "",
        f"  GraphQL and GraphiQL  {settings.base_url}/graphql",
        f"  Health                {settings.base_url}/livez  {settings.base_url}/readyz",
    ]
    if token:
        lines += ["", f"  Demo token for {demo.EMAIL}, 24 hours; paste into GraphiQL's Headers:", ""]
        lines += [f'{{"Authorization": "Bearer {token}"}}']
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", ""])


def _require_free_port(settings: Settings) -> None:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        fail(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; set HOST or PORT")


@app.command()
def serve() -> None:
    """Serve the API. In development: on the embedded Postgres unless DATABASE_URL is set, migrated, with a demo
    catalogue. Everything is set by the environment; see .env.example."""
    settings = _settings()
    configure_logging(settings)
    _require_free_port(settings)
    secret = _secret(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt), _databases(settings, owning=True) as dsns:
        try:
            token = asyncio.run(_prepare(settings, dsns, secret))
        except MigrationError as error:
            fail(str(error))
        _run_server(settings, dsns, secret, _banner(settings, token))


def _run_server(settings: Settings, dsns: Dsns, secret: str, banner: str) -> None:
    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "access_log": False,
        "server_header": False,
        "log_level": "warning",
        "timeout_graceful_shutdown": 5,
    }
    if settings.workers == 1:
        server = _Server(uvicorn.Config(create_app(settings, dsns.api, secret), lifespan="on", **options), banner)
        server.run()
        if not server.started:
            fail("the server did not start; see the lines above")
        return
    os.environ.update(DATABASE_URL=dsns.api, JWT_SECRET=secret)
    print(banner, flush=True)
    options["timeout_worker_healthcheck"] = 60  # workers that are still importing are not hung
    uvicorn.run("server:app_from_environment", factory=True, workers=settings.workers, **options)


@app.command()
def migrate() -> None:
    """Bring the database to the state of sql/, as its owner (MIGRATION_DATABASE_URL)."""
    with _databases(_settings()) as dsns:
        try:
            applied = asyncio.run(_migrate(dsns))
        except MigrationError as error:
            fail(str(error))
    print(f"{applied} files applied" if applied else "up to date")


@app.command()
def token(
    email: Annotated[str, typer.Option(help="Of an account; made first in development where there is none.")] = "",
    user_id: Annotated[str, typer.Option(help="Of a profile (a uuid); made likewise while the database runs.")] = "",
    role: Annotated[str, typer.Option(help=f"One of: {', '.join(ROLES)}.")] = "authenticated",
    expires: Annotated[int, typer.Option(help="Lifetime in seconds.", min=1)] = 3600,
) -> None:
    """Print an access token. admin and analyst are app roles of an authenticated person."""
    settings = _settings()
    if role not in ROLES:
        fail(f"--role: one of {', '.join(ROLES)}")
    if bool(email) == bool(user_id):
        fail("give --email or --user-id")
    try:
        subject = UUID(user_id) if user_id else None
    except ValueError:
        fail("--user-id: not a uuid")
    secret = _secret(settings)
    if email:
        with _databases(settings) as dsns:
            subject = asyncio.run(_account_of(settings, dsns, email))
    elif subject and role != "service_role" and not settings.is_production:
        asyncio.run(_ensure_profile(settings, subject, is_anonymous=role == "anon"))
    assert subject is not None
    is_app_role = role in ("admin", "analyst")
    issued, _ = Tokens(settings, secret).issue(
        subject,
        role="authenticated" if is_app_role else role,
        is_anonymous=role == "anon",
        email=email or None,
        app_metadata={"role": role} if is_app_role else None,
        lifetime=expires,
    )
    print(issued)


async def _account_of(settings: Settings, dsns: Dsns, email: str) -> UUID:
    from resolvers.accounts import normal_email

    tidy = normal_email(email)
    if tidy is None:
        fail("--email: not an e-mail address")
    async with _connected(_owner(dsns), "MIGRATION_DATABASE_URL") as owner:
        known: UUID | None = await owner.fetchval("select id from public.profiles where lower(email) = $1", tidy)
        if known is not None:
            return known
        if settings.is_production:
            fail(f"--email: there is no account {tidy}")
        console.print(f"made the account {tidy}", style="dim", markup=False)
        return await demo.ensure_account(owner, tidy)


async def _ensure_profile(settings: Settings, subject: UUID, *, is_anonymous: bool) -> None:
    """A token of nobody can write nothing, so in development the profile is made where a database is at hand."""
    dsn = settings.migration_database_url or settings.database_url
    if not dsn:
        dsns = embedded.running_dsns(settings.home, secrets.load_or_create(settings.home))
        dsn = dsns.owner if dsns and dsns.owner else ""
    if not dsn:
        return
    async with _connected(dsn, "MIGRATION_DATABASE_URL") as owner:
        if await owner.fetchval(QUERIES["demo.ensure_profile"].sql, subject, is_anonymous):
            console.print(f"made the profile {subject}", style="dim", markup=False)


@imports.command("products")
def import_products(
    file: Annotated[Path, typer.Argument(help="JSON Lines, CSV or TSV, gzipped or not.")],
    mapping: Annotated[str, typer.Option(help="A mapping of catalogue/mappings by name, or a TOML file.")],
    rejects: Annotated[
        Path | None, typer.Option(help="Where to list rejected lines (default: FILE.rejects.tsv here).")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Deactivate what is gone even when the feed shrank by over 30 %.")
    ] = False,
) -> None:
    """Import a product feed. Only what changed is written; rejected lines are listed in a file."""
    settings = _settings()
    shipped = demo.FOLDER / "mappings" / f"{mapping}.toml"
    report_path = rejects or Path.cwd() / f"{file.name}.rejects.tsv"
    with _databases(settings) as dsns:
        try:
            report = asyncio.run(
                _import_products(dsns, file, shipped if shipped.exists() else Path(mapping), report_path, force)
            )
        except (ImportFailed, MigrationError) as error:
            fail(str(error))
    for name in ("read", "continuations", "rejected", "inserted", "updated", "unchanged", "deactivated", "reactivated"):
        print(f"{name:14}{getattr(report, name):>10}")
    if report.warnings:
        print(f"{'warnings':14}{report.warnings:>10}")
    if report.rejected:
        print(f"rejects are listed in {report_path}")
    if report.deactivation_skipped:
        print("the feed of a shop shrank by more than 30 %: none of its products was deactivated (--force does)")


async def _import_products(dsns: Dsns, file: Path, mapping: Path, rejects: Path, force: bool) -> Any:
    read = product_imports.load_mapping(mapping)
    async with _connected(_owner(dsns), "MIGRATION_DATABASE_URL") as owner:
        with _progress(f"Importing {file.name}") as advance:
            return await product_imports.import_products(
                owner,
                file,
                read,
                rejects_path=rejects,
                force=force,
                on_progress=lambda rows: advance(f"{rows} rows"),
            )


@rebuild.command("preferences")
def rebuild_preferences(
    user_id: Annotated[str, typer.Option(help="Of one profile (default: everybody who ever swiped).")] = "",
) -> None:
    """Compute signals and preferences anew from the swipes."""
    settings = _settings()
    with _databases(settings) as dsns:
        done = asyncio.run(_rebuild_preferences(settings, dsns, user_id))
    print(f"{done} rebuilt")


async def _rebuild_preferences(settings: Settings, dsns: Dsns, user_id: str) -> int:
    from db.pool import Database

    async with _connected(_owner(dsns), "MIGRATION_DATABASE_URL") as owner:
        users = [r[0] for r in await owner.fetch("select distinct user_id from public.swipes")]
    if user_id:
        users = [user for user in users if str(user) == user_id.lower()]
    database = await Database.connect(dsns.api, settings)
    issuer = Services.make(settings, database, _secret(settings)).tokens
    try:
        for user in users:
            _, claims = issuer.issue(user)
            async with database.session(claims, read_only=False) as session:
                await preferences.rebuild(session, user)
    finally:
        await database.close()
    return len(users)


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option(help="A file to write (default: print).")] = None,
    check: Annotated[bool, typer.Option(help="Fail when schema.graphql is not what the code says.")] = False,
) -> None:
    """Print the GraphQL schema."""
    from schema.schema import build

    text = build().as_str() + "\n"
    if check:
        committed = Path(__file__).resolve().parent / "schema.graphql"
        if not committed.exists() or committed.read_text() != text:
            fail("schema.graphql is stale; run `make schema`")
    elif output:
        output.write_text(text)
    else:
        print(text, end="")


@app.command()
def dsn(
    superuser: Annotated[bool, typer.Option(help="Of the superuser instead (embedded server only).")] = False,
    owner: Annotated[bool, typer.Option(help="Of the owner of the schema instead.")] = False,
) -> None:
    """Print the URL of the running database, as the API logs in."""
    settings = _settings()
    if settings.uses_embedded_server:
        dsns = embedded.running_dsns(settings.home, secrets.load_or_create(settings.home))
        if dsns is None:
            fail("the embedded Postgres is not running; start it with `make run`")
    else:
        dsns = Dsns(settings.database_url, settings.migration_database_url or None)
    chosen = dsns.superuser if superuser else dsns.owner if owner else dsns.api
    if chosen is None:
        fail("this log-in is not known here")
    print(chosen)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql as the owner of the schema; further arguments go to psql."""
    with _databases(_settings()) as dsns:
        try:
            parts = urlsplit(_owner(dsns))
            # The password goes by the environment: everybody on the machine can read a command line.
            environment = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
            address = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
            url = urlunsplit(parts._replace(netloc=f"{parts.username}@{address}"))
            command = [str(embedded.binary("psql")), url, *context.args]
            finished = subprocess.run(command, check=False, env=environment)  # noqa: S603  the caller's own shell
        except OSError as error:
            fail(f"psql: {error.strerror}")
    raise typer.Exit(finished.returncode)


if __name__ == "__main__":
    app()
