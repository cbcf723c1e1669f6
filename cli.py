"""The `aclue` command: its subcommands, and `serve` itself. Commands are thin: they read their options and call the
rest of the code. What few of them need and takes long to import (tokens, sessions) is imported where it is used."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys

import typer

from commands import (
    affiliate_networks,
    backups,
    catalogue,
    commission_rules,
    conversion_flags,
    data,
    database,
    doctor,
    documents,
    evaluation,
    experiments,
    import_runs,
    import_sources,
    jobs,
    ledger,
    ledger_decisions,
    network_pulls,
    postbacks,
    privacy,
    product_offers,
    products,
    quiz,
    reference,
    restores,
    roles,
    rollups,
    switches,
    tokens,
    training,
)
from commands.terminal import (
    connected,
    connected_as_owner,
    databases,
    fail,
    load_settings,
    log_to_stderr,
    note,
    progress,
    secret_of,
)
from db import demo, migrations, releases
from db.embedded import Dsns
from db.migrations import MigrationError
from db.queries import QUERIES
from settings import Settings

DEMO_TOKEN_LIFETIME = 24 * 3600


async def _check_schema(dsns: Dsns) -> None:
    async with connected(dsns.api, "DATABASE_URL") as api:
        await migrations.check_version(api)
        for difference in await releases.differences(api):
            note(f"aclue: {difference}", "yellow")


async def _prepare(settings: Settings, dsns: Dsns, secret: str) -> str | None:
    """Prepares the database for serving. Returns a demo token in development, where the owner's log-in is available."""
    if settings.is_production or dsns.owner is None:
        await _check_schema(dsns)
        return None
    await database.bring_up_to_date(dsns)
    from services.tokens import Tokens

    async with connected_as_owner(dsns) as owner:
        with progress("Loading the demo catalogue") as advance:
            await demo.load_catalogue(owner, lambda rows: advance(f"{rows} rows"))
        if not await owner.fetchval(QUERIES["accounts.are_ours"].sql):
            return None
        account = await demo.ensure_account(owner, demo.EMAIL)
    token, _ = Tokens(settings, secret).issue(account, email=demo.EMAIL, lifetime=DEMO_TOKEN_LIFETIME)
    return token


def _banner(settings: Settings, token: str | None) -> str:
    served = "GraphQL and GraphiQL" if settings.serves_graphiql else "GraphQL"
    lines = [
        "",
        f"  {served:<20}  {settings.base_url}/graphql",
        f"  Health                {settings.base_url}/livez  {settings.base_url}/readyz",
    ]
    if token:
        lines += ["", f"  Demo token for {demo.EMAIL}, 24 hours; paste into GraphiQL's Headers:", ""]
        lines += [f'{{"Authorization": "Bearer {token}"}}']
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", ""])


def _require_free_port(host: str, port: int, variables: str) -> None:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        fail(f"cannot listen on {host} port {port}: {error.strerror}; set {variables}")


def serve() -> None:
    """Serve the API. In development: on the embedded Postgres unless DATABASE_URL is set, migrated, with a demo
    catalogue. Everything is set by the environment; see .env.example."""
    from server import configure_logging, run  # no other command needs the whole of it

    settings = load_settings()
    secret = secret_of(settings)
    configure_logging(settings, secret)
    _require_free_port(settings.host, settings.port, "HOST or PORT")
    if settings.metrics_port:
        _require_free_port(settings.metrics_host, settings.metrics_port, "METRICS_HOST or METRICS_PORT")
    if settings.trusted_documents:
        documents.require_manifest(settings)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt), databases(settings, owning=True) as dsns:
        try:
            token = asyncio.run(_prepare(settings, dsns, secret))
        except MigrationError as error:
            fail(str(error))
        if not run(settings, dsns.api, secret, _banner(settings, token), dsns.worker or ""):
            fail("the server did not start; see the lines above")


def worker() -> None:
    """Run background jobs in a process of their own, until it is stopped; servers then run with JOBS=off."""
    from server import configure_logging

    settings = load_settings()
    configure_logging(settings, secret_of(settings))
    jobs.work()


def _group(explanation: str) -> typer.Typer:
    return typer.Typer(help=explanation, no_args_is_help=True, pretty_exceptions_enable=False)


app = _group("Aclue: a GraphQL API over Postgres for gifting.")
app.callback()(log_to_stderr)
imports = _group("Import data.")
rebuild = _group("Rebuild derived data.")
books = _group("The ledger of commissions.")
reports = _group("Reports.")
queue = _group("The queue of background jobs.")
figures = _group("What figures of behaviour are read from.")
reference_data = _group("Gift categories, mappings and rules.")
erasures = _group("Exports, erasures and retention.")
trusted = _group("Trusted documents of clients.")
app_roles = _group("Admins, analysts and finance.")
models = _group("Trained models of the recommender.")
networks = _group("Affiliate networks: tracking hosts, and where their links carry our click id.")
senders = _group("Who may send postbacks.")
received = _group("Postbacks that were received.")
trials = _group("Experiments: arms, exposure, reports.")
network_accounts = _group("Our accounts at networks, whose reports are pulled.")
fallbacks = _group("What is switched off while something is wrong with it.")
quizzes = _group("Load, evaluate and norm quizzes.")
backup = typer.Typer(
    help="Back up the embedded Postgres; see `aclue backup take --help`.",
    cls=backups.BackupGroup,
    pretty_exceptions_enable=False,
)
schema = typer.Typer(invoke_without_command=True, callback=documents.schema)

for command in (
    serve,
    database.migrate,
    database.verify,
    doctor.doctor,
    tokens.token,
    documents.docs,
    data.seed,
    training.train,
    evaluation.evaluate,
    network_pulls.pull,
):
    app.command()(command)
app.command()(database.dsn)
app.command()(restores.restore)
app.command()(worker)
backup.command()(backups.take)
backup.command("list")(backups.list_backups)
backup.command()(restores.drill)
backup.command()(backups.record)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(database.psql)
imports.command("products")(data.import_products)
imports.command("list")(import_runs.list_runs)
imports.command("rejects")(import_runs.rejects)
imports.command("undo")(import_runs.undo)
imports.command("sources")(import_sources.sources)
imports.command("due")(import_sources.due)
imports.command("conversions")(ledger.import_conversions)
imports.command("payments")(ledger.import_payments)
imports.command("rates")(ledger.import_rates)
networks.command("advertiser")(ledger.advertiser)
networks.command("overdue")(ledger.overdue)
senders.command("list")(postbacks.list_senders)
senders.command()(postbacks.add)
senders.command()(postbacks.revoke)
senders.command("map")(postbacks.remap)
received.command("list")(postbacks.list_received)
received.command()(postbacks.retry)
networks.add_typer(senders, name="postback")
networks.add_typer(received, name="postbacks")
books.command()(ledger.rebuild)
books.command("exceptions")(ledger_decisions.list_exceptions)
books.command("flags")(conversion_flags.list_flags)
books.command()(conversion_flags.hold)
books.command()(conversion_flags.release)
books.command()(ledger_decisions.match)
books.command()(ledger_decisions.adjust)
books.command()(ledger_decisions.accept)
books.command()(ledger_decisions.decline)
figures.command()(rollups.rebuild)
reports.command("reconciliation")(ledger.report_reconciliation)
reference_data.command("load")(reference.load)
reference_data.command("taxonomy")(reference.taxonomy)
rebuild.command("personalities")(data.rebuild_personalities)
rebuild.command("preferences")(data.rebuild_preferences)
for command in (privacy.export, privacy.tombstones, privacy.reapply, privacy.purge):
    erasures.command()(command)
app_roles.command()(roles.grant)
app_roles.command()(roles.revoke)
app_roles.command("list")(roles.list_people)
trials.command()(experiments.create)
trials.command()(experiments.start)
trials.command()(experiments.stop)
trials.command()(experiments.report)
trials.command("list")(experiments.list_experiments)
networks.command()(affiliate_networks.add)
networks.command()(affiliate_networks.update)
networks.command()(affiliate_networks.show)
networks.command()(affiliate_networks.remove)
networks.command("list")(affiliate_networks.list_networks)
network_accounts.command("add")(network_pulls.add_account)
network_accounts.command("list")(network_pulls.list_accounts)
network_accounts.command("remove")(network_pulls.remove_account)
networks.add_typer(network_accounts, name="account")
quizzes.command()(quiz.evaluate)
quizzes.command()(quiz.norm)
quizzes.command()(quiz.load)
models.command("list")(training.list_models)
models.command()(training.rollback)
for group, add, change in (
    ("brand", catalogue.add_brand, catalogue.change_brand),
    ("category", catalogue.add_category, catalogue.change_category),
    ("retailer", catalogue.add_retailer, catalogue.change_retailer),
):
    commands = _group(f"Add or change a {group}.")
    commands.command("add")(add)
    commands.command("change")(change)
    app.add_typer(commands, name=group)
gifts = _group("Products of the catalogue.")
gifts.command()(catalogue.publish)
gifts.command()(catalogue.unpublish)
gifts.command()(products.merge)
gifts.command()(products.split)
app.add_typer(gifts, name="products")
offers = _group("What shops ask for products.")
offers.command("list")(product_offers.list_offers)
offers.command()(product_offers.create)
offers.command()(product_offers.update)
app.add_typer(offers, name="offers")
agreements = _group("What shops and networks agreed to pay.")
agreements.command("list")(commission_rules.list_rules)
agreements.command("add")(commission_rules.add)
agreements.command("end")(commission_rules.end)
app.add_typer(agreements, name="commission")
app.add_typer(backup, name="backup")
queue.command("list")(jobs.list_jobs)
queue.command()(jobs.retry)
queue.command()(jobs.drain)
app.add_typer(queue, name="jobs")
fallbacks.command("list")(switches.list_switches)
fallbacks.command("on")(switches.switch_on)
fallbacks.command("off")(switches.switch_off)
app.add_typer(fallbacks, name="switch")
app.add_typer(app_roles, name="roles")
app.add_typer(models, name="model")
app.add_typer(quizzes, name="quiz")
app.add_typer(trials, name="experiment")
app.add_typer(networks, name="network")
app.add_typer(imports, name="import")
app.add_typer(books, name="ledger")
app.add_typer(reports, name="report")
app.add_typer(figures, name="rollups")
trusted.command("check")(documents.check)
schema.command()(documents.diff)
app.add_typer(erasures, name="privacy")
app.add_typer(schema, name="schema")
app.add_typer(trusted, name="documents")
app.add_typer(rebuild, name="rebuild")
app.add_typer(reference_data, name="reference")


if __name__ == "__main__":
    app()
