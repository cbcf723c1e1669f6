"""The other commands, with their exit codes; most of them on the database of a running server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
from typer.testing import CliRunner

import cli
from db import migrations
from db.verification.run import CHECKS
from domain import ids
from tests.client import Client
from tests.e2e.conftest import ROOT, Service, aclue, postmaster_of, program, served_postgres
from tests.exports import Export

Database: TypeAlias = "asyncpg.Connection[Any]"


def printed(finished: subprocess.CompletedProcess[str]) -> str:
    """What a command that worked has said."""
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout


def invoked(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The same as `aclue` within this process: for commands that need no database, many of them at once."""
    finished = CliRunner().invoke(cli.app, arguments, env={"ACLUE_HOME": str(home), **more})
    assert finished.exception is None or isinstance(finished.exception, SystemExit), finished.exception
    return subprocess.CompletedProcess(arguments, finished.exit_code, finished.stdout, finished.stderr)


def complaint(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that did not."""
    assert finished.returncode == 1, finished.stdout
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith("aclue: ")
    return line


def token(service: Service, *arguments: str) -> str:
    return printed(aclue(service.home, "token", *arguments)).strip()


def claims(text: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(text, options={"verify_signature": False})
    return read


def test_help_of_every_command() -> None:
    for command in (
        (),
        ("serve",),
        ("migrate",),
        ("verify",),
        ("token",),
        ("import",),
        ("import", "products"),
        ("privacy",),
        ("privacy", "export"),
        ("privacy", "tombstones"),
        ("privacy", "reapply"),
        ("privacy", "purge"),
        ("roles",),
        ("roles", "grant"),
        ("roles", "revoke"),
        ("roles", "list"),
        ("experiment",),
        ("experiment", "create"),
        ("experiment", "start"),
        ("experiment", "stop"),
        ("experiment", "list"),
        ("experiment", "report"),
        ("rebuild",),
        ("rebuild", "personalities"),
        ("rebuild", "preferences"),
        ("schema",),
        ("schema", "diff"),
        ("seed",),
        ("docs",),
        ("documents",),
        ("documents", "check"),
        ("dsn",),
        ("psql",),
        ("verify",),
    ):
        finished = CliRunner().invoke(cli.app, [*command, "--help"])
        assert finished.exit_code == 0, command
        assert "Usage:" in finished.output, command


def test_help_starts_nothing(home: Path) -> None:
    assert "Usage:" in printed(program(home, "serve", "--help"))
    assert list(home.iterdir()) == []


def test_a_command_that_is_none(home: Path) -> None:
    assert program(home, "nothing").returncode == 2
    assert aclue(home, "import", "products").returncode == 2


async def test_a_token_of_an_email_makes_the_account_once(service: Service, database: Database, caller: Client) -> None:
    email = f"{uuid4().hex}@people.example"
    first, second = (claims(token(service, "--email", spelled)) for spelled in (email, f" {email.upper()} "))
    stored = await database.fetchval("select id from auth.users where email = $1", email)
    assert first["sub"] == second["sub"] == str(stored)
    caller.token = token(service, "--email", email)
    assert (await caller.ask("{ me { email } }"))["me"]["email"] == email


async def test_a_token_of_every_role(service: Service, http: httpx.AsyncClient) -> None:
    user = uuid4()
    for role in ("anon", "authenticated", "service_role", "admin", "analyst", "finance"):
        issued = await asyncio.to_thread(invoked, service.home, "token", "--user-id", str(user), "--role", role)
        text = printed(issued).strip()
        told = claims(text)
        assert told["sub"] == str(user)
        assert told["role"] == ("authenticated" if role in {"admin", "analyst", "finance"} else role)
        assert told["is_anonymous"] is (role == "anon")
        assert told["app_metadata"] == ({"role": role} if role in {"admin", "analyst", "finance"} else {})
        refused = 'mutation { updateProduct(input: {id: "x"}) { userErrors { code } } }'
        body = (await Client(http, text).post(refused)).json()
        if role in {"service_role", "admin"}:
            assert body["data"]["updateProduct"]["userErrors"] == [{"code": "NOT_FOUND"}]
        else:
            assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_the_lifetime_of_a_token(service: Service) -> None:
    user = str(uuid4())
    for arguments, lifetime in (((), 3600), (("--expires", "60"), 60)):
        told = claims(printed(invoked(service.home, "token", "--user-id", user, *arguments)).strip())
        assert told["exp"] - told["iat"] == lifetime


def test_tokens_that_cannot_be(service: Service) -> None:
    user = str(uuid4())
    for arguments, said in (
        ((), "--email"),
        (("--email", "a@b.example", "--user-id", user), "--email"),
        (("--email", "nothing"), "--email"),
        (("--user-id", "nothing"), "--user-id"),
        (("--user-id", user, "--role", "postgres"), "--role"),
    ):
        assert said in complaint(invoked(service.home, "token", *arguments)), arguments
    finished = invoked(service.home, "token", "--user-id", user, "--expires", "0")
    assert finished.returncode == 2
    assert "--expires" in finished.stderr


SIGN_UP = """
mutation ($email: String!) {
  signUp(input: {email: $email, password: "correct horse"}) { accessToken refreshToken userErrors { code } }
}
"""
REFRESH = """
mutation ($token: String!) {
  refreshSession(input: {refreshToken: $token}) { accessToken refreshToken userErrors { code } }
}
"""
COUNTS = '{ eventCounts(since: "2026-01-01T00:00:00Z", until: "2026-02-01T00:00:00Z") { name } }'


async def test_roles_are_granted_listed_and_revoked(service: Service, database: Database, caller: Client) -> None:
    """The first admin of an installation, and the last."""
    email = f"{uuid4().hex}@people.example"
    tokens = await caller.do(SIGN_UP, email=email)
    assert "not verified" in complaint(aclue(service.home, "roles", "grant", email, "admin"))
    await database.execute("update auth.users set email_confirmed_at = now() where email = $1", email)

    assert printed(aclue(service.home, "roles", "grant", f" {email.upper()}", "admin")) == f"{email} is admin now\n"
    assert printed(aclue(service.home, "roles", "grant", email, "admin")) == f"{email} is admin already\n"
    assert f"admin    {email}" in printed(aclue(service.home, "roles", "list")).splitlines()
    tokens = await caller.do(REFRESH, token=tokens["refreshToken"])
    await Client(caller.http, tokens["accessToken"]).ask(COUNTS)

    for arguments in (("revoke", email, "admin"), ("grant", email, "analyst")):
        assert "last admin" in complaint(aclue(service.home, "roles", *arguments))
    other = await database.fetchval(
        "insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), $1, now()) returning email",
        f"{uuid4().hex}@people.example",
    )
    printed(aclue(service.home, "roles", "grant", other, "admin"))
    assert printed(aclue(service.home, "roles", "revoke", email, "admin")) == f"{email} is no longer admin\n"
    assert printed(aclue(service.home, "roles", "revoke", email, "admin")) == f"{email} was not admin\n"
    assert email not in printed(aclue(service.home, "roles", "list"))
    tokens = await caller.do(REFRESH, token=tokens["refreshToken"])
    assert await Client(caller.http, tokens["accessToken"]).code(COUNTS) == "FORBIDDEN"
    await database.execute("delete from auth.users where email = $1", other)


def test_roles_that_cannot_be_granted(service: Service) -> None:
    for verb in ("grant", "revoke"):
        assert "nobody@people.example" in complaint(
            aclue(service.home, "roles", verb, "nobody@people.example", "admin")
        )
        assert "'owner'" in complaint(aclue(service.home, "roles", verb, "nobody@people.example", "owner"))
    assert aclue(service.home, "roles", "grant", "nobody@people.example").returncode == 2


def test_roles_are_the_owners_to_give(home: Path) -> None:
    with served_postgres(home) as variables:
        printed(aclue(home, "migrate", **variables))
        variables = {"DATABASE_URL": variables["DATABASE_URL"]}
        for arguments in (("list",), ("grant", "nobody@people.example", "admin")):
            assert "MIGRATION_DATABASE_URL" in complaint(aclue(home, "roles", *arguments, **variables))


def test_migrate_has_nothing_to_do_on_a_running_server(service: Service) -> None:
    assert printed(program(service.home, "migrate")) == "up to date\n"


def test_migrate_and_psql_on_a_server_of_their_own(home: Path) -> None:
    assert "files applied" in printed(aclue(home, "migrate"))
    assert printed(aclue(home, "migrate")) == "up to date\n"
    assert printed(aclue(home, "psql", "-tAc", "select 1")) == "1\n"
    assert "awin" in printed(aclue(home, "network", "list"))
    assert postmaster_of(home) is None
    assert "not running" in complaint(invoked(home, "dsn"))
    assert "not running" in complaint(invoked(home, "dsn", "--superuser"))


def test_a_plan_a_run_in_two_steps_and_the_way_back(home: Path) -> None:
    names = [file.name for file in migrations.migration_files()]
    second_factors = next(i for i, name in enumerate(names) if name.endswith("_second_factors.sql"))
    with served_postgres(home) as variables:
        planned = printed(aclue(home, "migrate", "--plan", **variables)).splitlines()
        assert planned[: len(names)] == [f"would run {name}" for name in names]
        assert planned == printed(aclue(home, "migrate", "--plan", **variables)).splitlines()
        for command in (["import", "list"], ["report", "reconciliation"], ["network", "list"]):
            assert "run `aclue migrate`" in complaint(aclue(home, *command, **variables))
        stopped = printed(aclue(home, "migrate", "--to", names[second_factors - 1], **variables))
        assert stopped.splitlines()[0] == f"{second_factors} files applied"
        assert "functions, views and policies wait" in stopped
        finished = aclue(home, "serve", ENVIRONMENT="production", JWT_SECRET="e" * 32, **variables)
        assert "run `aclue migrate`" in complaint(finished)
        assert "files applied" in printed(aclue(home, "migrate", "--to", names[second_factors], **variables))
        undone = [f"migrations/{Path(names[second_factors]).name}"]
        assert printed(aclue(home, "migrate", "--plan", "--rollback", **variables)) == (
            f"would run rollbacks/{Path(undone[0]).name}\n"
        )
        assert printed(aclue(home, "migrate", "--rollback", **variables)) == f"undid {undone[0]}\n"
        assert "cannot be rolled back" in complaint(aclue(home, "migrate", "--rollback", **variables))
        assert "files applied" in printed(aclue(home, "migrate", **variables))
        assert printed(aclue(home, "migrate", "--plan", **variables)) == "up to date\n"


async def forget(url: str, migration: str) -> None:
    """Makes a migration pending, as if it were new."""
    owner = await asyncpg.connect(url)
    await owner.execute("delete from private.applied_files where name = $1", migration)
    await asyncio.sleep(1)
    await owner.close()


def test_production_changes_no_table_without_a_backup(home: Path) -> None:
    newest = migrations.migration_files()[-1].name
    with served_postgres(home) as variables:
        variables |= {"ENVIRONMENT": "production", "JWT_SECRET": "e" * 32}
        printed(aclue(home, "migrate", **variables))  # a new database has nothing to lose
        asked = "none is recorded"
        assert asked in complaint(aclue(home, "migrate", "--rollback", **variables))
        printed(aclue(home, "backup", "record", "full", "--failed", "the disk is full", **variables))
        assert asked in complaint(aclue(home, "migrate", "--rollback", **variables))
        printed(aclue(home, "backup", "record", "full", **variables))
        assert "cannot be rolled back" in complaint(aclue(home, "migrate", "--rollback", **variables))
        assert printed(aclue(home, "migrate", MIGRATION_BACKUP_AGE="1", **variables)) == "up to date\n"
        asyncio.run(forget(variables["MIGRATION_DATABASE_URL"], newest))
        old = {**variables, "MIGRATION_BACKUP_AGE": "1"}
        assert "0.0 hours old" in complaint(aclue(home, "migrate", **old))
        assert printed(aclue(home, "migrate", "--plan", **old)) == f"would run {newest}\n"
        told = [aclue(home, "migrate", **variables), aclue(home, "migrate", "--without-backup", **old)]
        assert ["backup" in finished.stderr for finished in told] == [False, False]


def test_options_of_migrate_that_contradict_each_other(home: Path) -> None:
    assert "--to" in complaint(invoked(home, "migrate", "--rollback", "--to", "20261121100000"))
    assert "--rollback" in complaint(invoked(home, "migrate", "--accept-data-loss"))


async def test_verify_of_a_served_database(service: Service, database: Database) -> None:
    told = json.loads(printed(aclue(service.home, "verify", "--json")))
    assert told["counts"] == {"passed": len(CHECKS), "failed": 0, "not run": 0}
    table = printed(aclue(service.home, "verify", COLUMNS="160"))
    assert all(check.name in table for check in CHECKS)
    assert table.rstrip().endswith(f"{len(CHECKS)} passed, 0 failed, 0 not run")

    await database.execute("alter table public.brands disable row level security")
    try:
        failed = aclue(service.home, "verify", COLUMNS="160")
        in_json = aclue(service.home, "verify", "--json")
    finally:
        await database.execute("alter table public.brands enable row level security")
    assert (failed.returncode, in_json.returncode) == (1, 1)
    assert "policies.row_level_security failed\n  public.brands\n  to mend it: alter table" in failed.stdout
    (fault,) = [check for check in json.loads(in_json.stdout)["checks"] if check["outcome"] == "failed"]
    assert (fault["name"], fault["faults"]) == ("policies.row_level_security", ["public.brands"])


def test_verify_without_the_owner_says_what_it_did_not_run(service: Service) -> None:
    url = printed(invoked(service.home, "dsn")).strip()
    finished = aclue(service.home, "verify", DATABASE_URL=url, COLUMNS="160")
    assert finished.returncode == 3, finished.stdout + finished.stderr
    left = sum(check.needs_owner for check in CHECKS)
    assert finished.stdout.rstrip().endswith(f"{len(CHECKS) - left} passed, 0 failed, {left} not run")
    assert "needs MIGRATION_DATABASE_URL" in finished.stdout


def test_the_list_of_checks_is_that_of_the_documentation(home: Path) -> None:
    assert printed(invoked(home, "verify", "--list")) in (ROOT / "docs" / "verify.md").read_text()
    assert list(home.iterdir()) == []


def test_psql_is_the_owner_and_hands_on_its_exit_code(service: Service) -> None:
    assert printed(aclue(service.home, "psql", "-tAc", "select current_user")) == "aclue_owner\n"
    failed = aclue(service.home, "psql", "-c", "select no_such_column")
    assert failed.returncode == 1
    assert "no_such_column" in failed.stderr


async def test_dsn_of_each_log_in(service: Service) -> None:
    for arguments, expected in (((), "aclue_api"), (("--owner",), "aclue_owner"), (("--superuser",), "postgres")):
        connection = await asyncpg.connect(printed(invoked(service.home, "dsn", *arguments)).strip())
        assert await connection.fetchval("select current_user") == expected
        await connection.close()


def test_dsn_of_a_database_given(home: Path) -> None:
    url = "postgresql://a:b@db.example/c"
    assert printed(invoked(home, "dsn", DATABASE_URL=url)) == f"{url}\n"
    assert "not known" in complaint(invoked(home, "dsn", "--superuser", DATABASE_URL=url))


def test_the_schema_printed_written_and_checked(home: Path, tmp_path: Path) -> None:
    text = printed(invoked(home, "schema"))
    assert "type Query {" in text
    file = tmp_path / "schema.graphql"
    assert printed(invoked(home, "schema", "--output", str(file))) == ""
    assert file.read_text() == text
    assert printed(aclue(home, "schema", "--check")) == ""
    assert (ROOT / "schema.graphql").read_text() == text
    assert not (home / "postgres").exists()


def test_the_schema_is_compared_with_an_earlier_one(home: Path) -> None:
    now = (ROOT / "schema.graphql").read_text()
    old = home / "old.graphql"
    old.write_text(now)
    assert printed(invoked(home, "schema", "diff", str(old))) == ""

    old.write_text(re.sub(r'  """[^"]*"""\n  UNAVAILABLE\n', "", now))
    dangerous = "dangerous  VALUE_ADDED_TO_ENUM  Enum value UserErrorCode.UNAVAILABLE was added.\n"
    assert printed(invoked(home, "schema", "diff", str(old))) == dangerous

    old.write_text(now.replace("type Query {", "type Query {\n  wishes: [Product!]!\n", 1))
    gone = {"isBreaking": True, "kind": "FIELD_REMOVED", "description": "Field Query.wishes was removed."}
    broken = invoked(home, "schema", "diff", str(old), "--json")
    assert (broken.returncode, json.loads(broken.stdout)) == (1, [gone])
    assert broken.stderr == f"aclue: breaking changes since {old}: 1\n"

    old.write_text("no schema")
    assert "not a GraphQL schema" in complaint(invoked(home, "schema", "diff", str(old)))
    assert "No such file" in complaint(invoked(home, "schema", "diff", str(home / "none")))


def test_a_manifest_is_checked_without_a_database(home: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    page = "query Page { products(first: 9) { nodes { id } } me { id } }"
    manifest.write_text(json.dumps({"abc": page}))
    shown = printed(invoked(home, "documents", "check", str(manifest)))
    assert shown == "ok  Page (abc)  cost 21, SQL statements at least 2, plan\n"
    for option, problem in (
        ("--max-cost=20", "cost 21 is more than 20"),
        ("--max-statements=1", "2 statements or more"),
    ):
        refused = invoked(home, "documents", "check", str(manifest), option)
        assert refused.returncode == 1
        assert problem in refused.stdout
    manifest.write_text(json.dumps({"abc": page, "old": "query Old { gone }"}))
    refused = invoked(home, "documents", "check", str(manifest), "--json")
    assert refused.returncode == 1
    assert [(each["id"], each["cost"], each["problem"] is None) for each in json.loads(refused.stdout)] == [
        ("abc", 21, True),
        ("old", None, False),
    ]
    assert list(home.iterdir()) == []


def test_a_manifest_that_cannot_be_used_is_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[")
    assert "broken.json" in complaint(invoked(home, "documents", "check", str(tmp_path / "broken.json")))
    (tmp_path / "stale.json").write_text('{"old": "query Old { gone }"}')
    refused = invoked(home, "serve", TRUSTED_DOCUMENTS=str(tmp_path / "stale.json"))
    assert "Old (old)" in complaint(refused)


def feed_line(number: int, **change: Any) -> str:
    product = {
        "external_id": f"T-{number}",
        "retailer": "cli-shop",
        "name": f"Cli present {number}",
        "category": "cli-presents",
        "price": "9.99",
        "currency": "GBP",
        "url": f"https://cli-shop.example/{number}",
        "tags": ["gift"],
        "in_stock": True,
    }
    return json.dumps({**product, **change})


async def test_a_file_is_detected_tried_and_imported_for_a_shop(
    service: Service, database: Database, tmp_path: Path
) -> None:
    feed = tmp_path / "products_export.csv"
    feed.write_text("Handle,Title,Variant SKU,Variant Price,Published\nnib,Steel nib,N1,4.50,TRUE\n")
    said = printed(aclue(service.home, "import", "products", str(feed), "--detect", "--currency", "GBP", cwd=tmp_path))
    assert "--mapping shopify" in said
    assert "Steel nib" in said
    shop = ("--mapping", "shopify", "--shop", "nibs", "--domain", "nibs.example", "--currency", "GBP")
    tried = printed(aclue(service.home, "import", "products", str(feed), *shop, "--dry-run", cwd=tmp_path))
    assert tried.startswith("nothing was written")
    stored = "select affiliate_url from public.products where external_id = 'nib'"
    assert await database.fetchval(stored) is None
    printed(aclue(service.home, "import", "products", str(feed), *shop, cwd=tmp_path))
    assert await database.fetchval(stored) == "https://nibs.example/products/nib"


async def test_a_network_is_added_and_its_links_carry_the_click(
    service: Service, database: Database, tmp_path: Path
) -> None:
    def network(*arguments: str) -> str:
        return printed(aclue(service.home, "network", *arguments, cwd=tmp_path))

    assert "awin" in network("list")
    assert "clickref" in network("show", "awin")
    assert "typical rate 0.07" in network("update", "awin", "--commission-rate", "0.07")
    short = aclue(service.home, "network", "add", "kestrel", "--parameter", "sub", "--host", "go.kestrel.example",
                  "--max-length", "25", cwd=tmp_path)  # fmt: skip
    assert short.returncode == 1
    assert "cut" in short.stderr
    rule = ("--parameter", "sub", "--place", "before", "--destination", "to", "--max-length", "30")
    network("add", "kestrel", "--name", "Kestrel", "--host", "https://Go.Kestrel.example/", *rule)
    said = network("show", "kestrel")
    assert "go.kestrel.example" in said
    assert "before sub" in said
    (tmp_path / "nest.toml").write_text(
        'format = "csv"\n[fields]\nexternal_id = "id"\nname = "id"\nprice = "price"\naffiliate_url = "url"\n'
        '[constants]\ncurrency = "GBP"\n[retailer]\nslug = "nest"\nnetwork = "kestrel"\ndomain = "nest.example"\n'
    )
    feed = tmp_path / "nest.csv"
    feed.write_text("id,price,url\nN1,5.00,https://go.kestrel.example/c?sub=old&to=https://nest.example/?a=1&b=2\n")
    printed(aclue(service.home, "import", "products", str(feed), "--mapping", "./nest.toml", cwd=tmp_path))
    product = await database.fetchval("select id from public.products where external_id = 'N1'")
    async with httpx.AsyncClient(base_url=service.url) as http:
        caller = await Client(http, None).start_session()
        made = await caller.do(
            "mutation ($p: ID!) { createAffiliateClick(input: {productId: $p}) {"
            " click { redirectUrl } userErrors { code } } }",
            p=ids.encode("Product", product),
        )
        path = made["click"]["redirectUrl"].removeprefix(service.url)
        target = (await http.get(path, headers={"user-agent": "a browser"})).headers["location"]
    assert target == f"https://go.kestrel.example/c?sub={path.removeprefix('/r/')}&to=https://nest.example/?a=1&b=2"
    refused = aclue(service.home, "network", "remove", "kestrel", cwd=tmp_path)
    assert (refused.returncode, "a shop" in refused.stderr) == (1, True)


async def test_offers_and_merges_by_command(service: Service, database: Database) -> None:
    def said(*arguments: str) -> str:
        return printed(aclue(service.home, *arguments))

    rows = await database.fetch("select id, affiliate_url from public.products where is_active order by id limit 2")
    (one, link), (other, _) = rows
    shop = await database.fetchval(
        "select r.slug from public.retailers r join public.products p on p.retailer_id = r.id where p.id = $1", one
    )
    given = ("--shop", shop, "--external-id", "by-hand", "--url", link, "--price", "0.99")
    made = said("offers", "create", str(other), *given)
    assert "0.99 GBP, in stock, leads" in made
    offer = made.split()[0]
    assert "edited: inactive, shipping" in said("offers", "update", offer, "--inactive", "--shipping", "1")
    assert "not active" in said("offers", "list", str(other))
    assert "is merged into" in said("products", "merge", str(one), str(other), "--into")
    assert "already" in said("products", "merge", str(other), str(one))
    assert "of its own again" in said("products", "split", str(other), "--offer", offer)
    assert ids.encode("Product", one) in said("products", "split", str(other))
    assert "nothing was merged" in said("products", "split", str(other))
    for arguments in (("offers", "update", offer, "--price", "x"), ("offers", "list", "x"), ("products", "split", "x")):
        assert aclue(service.home, *arguments).returncode != 0


async def test_importing_products_with_rejects(service: Service, database: Database, tmp_path: Path) -> None:
    feed = tmp_path / "feed.jsonl"
    lines = [feed_line(1), feed_line(2, price="free"), "{", feed_line(3, name=""), feed_line(4), feed_line(1)]
    feed.write_text("\n".join(lines) + "\n")

    def imported() -> dict[str, int]:
        said = printed(aclue(service.home, "import", "products", str(feed), "--mapping", "demo", cwd=tmp_path))
        assert "feed.jsonl.rejects.tsv" in said
        return {words[0]: int(words[1]) for words in map(str.split, said.splitlines()[:8])}

    counts = imported()
    assert (counts["read"], counts["rejected"], counts["inserted"], counts["updated"]) == (6, 4, 2, 0)
    rejects = (tmp_path / "feed.jsonl.rejects.tsv").read_text().splitlines()
    assert rejects[0] == "line\tid\tfield\tvalue\treason\tkind"
    assert sorted({int(line.split("\t")[0]) for line in rejects[1:]}) == [2, 3, 4, 6]
    names = await database.fetch("select name from public.products where external_id like 'T-%' order by name")
    assert [row["name"] for row in names] == ["Cli present 1", "Cli present 4"]

    again = imported()
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 2)


async def test_an_import_is_listed_and_taken_back(service: Service, database: Database, tmp_path: Path) -> None:
    feed = tmp_path / "undo.jsonl"

    def imported(*lines: str) -> str:
        feed.write_text("\n".join(lines))
        said = printed(aclue(service.home, "import", "products", str(feed), "--mapping", "demo", cwd=tmp_path))
        return next(line.split()[1] for line in said.splitlines() if line.startswith("import "))

    first = imported(feed_line(7), feed_line(8))
    second = imported(feed_line(7, price="12.00"), feed_line(8))
    listed = printed(aclue(service.home, "import", "list")).splitlines()
    assert listed[0].split()[0] == second
    assert "1 updated" in listed[0]
    assert "2 inserted" in listed[1]
    refused = aclue(service.home, "import", "undo", first)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"product_offers T-7: changed (import {second})" in refused.stderr
    printed(aclue(service.home, "import", "undo", second))
    said = printed(aclue(service.home, "import", "undo", first))
    assert "removed          2 products" in said
    assert await database.fetchval("select count(*) from public.products where external_id in ('T-7', 'T-8')") == 0
    assert "was taken back already" in complaint(aclue(service.home, "import", "undo", first))
    assert "there is no import 9999" in complaint(aclue(service.home, "import", "undo", "9999"))


def test_imports_that_cannot_be(service: Service, tmp_path: Path) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text("[]")
    for file, mapping, said in (
        (tmp_path / "none.jsonl", "demo", "none.jsonl"),
        (feed, "no-such-mapping", "no-such-mapping"),
        (feed, "demo", "JSON array"),
    ):
        finished = aclue(service.home, "import", "products", str(file), "--mapping", mapping, cwd=tmp_path)
        assert said in complaint(finished)


async def test_rebuilding_preferences_from_the_swipes(service: Service, database: Database, caller: Client) -> None:
    await caller.start_session()
    for product in await caller.products(first=3):
        await caller.swipe(product["id"], "UP")
    user = ids.decode_as("Profile", await caller.my_id())
    table = "public.user_preferences where user_id = $1"
    before = await database.fetchrow(f"select category_preferences, total_swipes, confidence from {table}", user)
    await database.execute("delete from public.product_signals where user_id = $1", user)
    assert printed(aclue(service.home, "rebuild", "preferences", "--user-id", str(user))) == "1 rebuilt\n"
    after = await database.fetchrow(f"select category_preferences, total_swipes, confidence from {table}", user)
    assert after == before
    people = await database.fetchval("select count(distinct user_id) from public.swipes")
    assert printed(aclue(service.home, "rebuild", "preferences")) == f"{people} rebuilt\n"
    assert printed(aclue(service.home, "rebuild", "preferences", "--user-id", str(UUID(int=1)))) == "0 rebuilt\n"


async def test_rebuilding_personalities_from_quizzes_and_swipes(
    service: Service, database: Database, caller: Client
) -> None:
    await caller.start_session()
    await caller.take_quiz({"adv"})
    for product in await caller.products(first=3):
        await caller.swipe(product["id"], "UP")
    user = ids.decode_as("Profile", await caller.my_id())
    method = "select assessment_method from public.personality_profiles where user_id = $1"
    assert await database.fetchval(method, user) == "quiz"
    assert printed(aclue(service.home, "rebuild", "personalities", "--user-id", str(user))).endswith(" rebuilt\n")
    assert await database.fetchval(method, user) == "hybrid"
    assert "not a uuid" in complaint(aclue(service.home, "rebuild", "personalities", "--user-id", "anna"))


async def test_the_owner_exports_the_data_of_a_person(
    service: Service, database: Database, caller: Client, tmp_path: Path
) -> None:
    await caller.start_session()
    user = ids.decode_as("Profile", await caller.my_id())
    export = Export(printed(aclue(service.home, "privacy", "export", "--user-id", str(user))))
    assert export.header["profileId"] == export.data["public.profiles"][0]["id"] == str(user)
    noted = "select count(*) from public.audit_log where person_id = $1 and table_name = 'public.privacy_requests'"
    assert await database.fetchval(noted, user) == 1
    file = tmp_path / "export.ndjson"
    file.write_text("something else")
    assert (
        printed(aclue(service.home, "privacy", "export", "--email", "DEMO@aclue.example", "--output", str(file))) == ""
    )
    assert Export(file.read_text()).data["public.profiles"][0]["email"] == "demo@aclue.example"
    for wrong, why in (
        ((), "give --email or --user-id"),
        (("--user-id", "anna"), "not a uuid"),
        (("--user-id", str(uuid4())), "no such person"),
        (("--email", "nobody@people.example"), "no such person"),
        (("--user-id", str(user), "--output", str(tmp_path / "none" / "x")), "No such file"),
    ):
        assert why in complaint(aclue(service.home, "privacy", "export", *wrong))


async def test_an_erasure_is_repeated_on_a_restored_backup(
    service: Service, database: Database, caller: Client, tmp_path: Path
) -> None:
    await caller.start_session()
    user = ids.decode_as("Profile", await caller.my_id())
    await caller.do(
        "mutation ($proof: String) {"
        " deleteMyAccount(input: {confirm: true, refreshToken: $proof}) { deleted userErrors { code } } }",
        proof=caller.refresh_token,
    )
    told = printed(aclue(service.home, "privacy", "tombstones"))
    kept = tmp_path / "tombstones.jsonl"
    kept.write_text(told)
    assert [set(json.loads(line)) for line in told.splitlines()] == [{"subjectHash", "erasedAt"}]
    await database.execute("truncate public.erasure_tombstones")  # the backup is older than the erasure
    await database.execute("insert into public.profiles (id, is_anonymous) values ($1, true)", user)

    assert printed(aclue(service.home, "privacy", "reapply")) == "0 erased again\n"
    other = {"ERASURE_SECRET": "another secret, and long enough for it"}
    assert printed(aclue(service.home, "privacy", "reapply", "--file", str(kept), **other)) == "0 erased again\n"
    assert printed(aclue(service.home, "privacy", "reapply", "--file", str(kept))) == "1 erased again\n"
    assert await database.fetchval("select count(*) from public.profiles where id = $1", user) == 0
    assert printed(aclue(service.home, "privacy", "tombstones")) == told
    kept.write_text("nothing of the kind")
    assert "line 1 is no tombstone" in complaint(invoked(service.home, "privacy", "reapply", "--file", str(kept)))
    assert "No such file" in complaint(invoked(service.home, "privacy", "reapply", "--file", str(tmp_path / "none")))


def test_a_purge_says_what_it_removed(service: Service) -> None:
    said = dict(line.split() for line in printed(aclue(service.home, "privacy", "purge")).splitlines())
    assert set(said) == {
        "views", "impressions", "events", "visits", "anonymous", "sessions", "redirects", "audit_log", "system_logs",
        "imports", "keys", "attempts",
    }  # fmt: skip
    assert set(said.values()) == {"0"}
    assert "RETENTION_AUDIT_LOG" in complaint(invoked(service.home, "privacy", "purge", RETENTION_AUDIT_LOG="10"))


def test_seeding_a_database_once_per_seed(home: Path) -> None:
    said = printed(aclue(home, "seed", "--users", "20", "--products", "30", "--swipes", "400", "--seed", "3"))
    assert [line.split()[:2] for line in said.splitlines()[:2]] == [["products", "30"], ["profiles", "20"]]
    assert "rows/s" in said
    assert "--seed" in complaint(aclue(home, "seed", "--users", "1", "--products", "1", "--seed", "3"))


def test_production_is_not_seeded(home: Path) -> None:
    production = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c", "JWT_SECRET": "x" * 32}
    assert "production" in complaint(invoked(home, "seed", **production))
    assert "cannot connect" in complaint(invoked(home, "seed", "--force", **production))


def test_commands_on_a_database_that_cannot_be_reached(home: Path) -> None:
    url = "postgresql://a:b@127.0.0.1:1/c"
    for command in (
        ("migrate",),
        ("verify",),
        ("rebuild", "personalities"),
        ("rebuild", "preferences"),
        ("seed",),
        ("token", "--email", "a@b.example"),
    ):
        assert "DATABASE_URL" in complaint(aclue(home, *command, DATABASE_URL=url))


def test_a_quiz_is_evaluated_with_the_history_of_a_database(service: Service) -> None:
    arguments = ("quiz", "evaluate", "--instrument", "aclue-gifts", "--simulate", "1000", "--people", "1", "--history")
    output = printed(aclue(service.home, *arguments))
    assert "aclue-gifts 2.0: 1,000 people" in output
    assert output.splitlines()[-1] == "nobody took this version twice with care yet"


def test_an_instrument_of_the_database_is_evaluated_by_its_code(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    shipped = (ROOT / "catalogue" / "instruments" / "ipip-big-five.toml").read_text()
    file.write_text(shipped.replace('code = "ipip-big-five"', 'code = "of-the-database"'))
    printed(aclue(service.home, "quiz", "load", str(file)))
    evaluated = ("quiz", "evaluate", "--simulate", "1000", "--people", "1", "--instrument")
    assert "of-the-database 1.0: 1,000 people" in printed(aclue(service.home, *evaluated, "of-the-database"))
    assert "no file nonsense, nor an instrument" in complaint(aclue(service.home, *evaluated, "nonsense"))
