"""Imports of reports as a command: exit codes, and a process that is killed in the middle."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.e2e.conftest import ROOT, Service, aclue, environment
from tests.e2e.test_cli import complaint, invoked, printed
from tests.integration.waiting import until
from tests.ledger import awin, awin_push


def reconciled(service: Service) -> Any:
    finished = aclue(service.home, "report", "reconciliation", "--json")
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


async def test_an_import_that_is_killed_leaves_nothing_and_the_next_one_completes_it(
    service: Service, database: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    file = written(tmp_path, "kill.json", json.dumps([awin(f"K{number}", "approved") for number in range(50)]))
    command = [sys.executable, str(ROOT / "cli.py"), "import", "conversions", "--network", "awin", file]
    reports = "select count(*) from public.conversion_reports where reference like 'K%'"
    async with database.transaction():
        await database.execute("lock table public.conversions in share mode")  # the reports are in, what follows waits
        process = await asyncio.create_subprocess_exec(*command, env=environment(service.home), stdin=DEVNULL)
        waits = "exists (select from pg_locks where not granted and relation = 'public.conversions'::regclass)"
        await until(database, waits)
        process.kill()
        await process.wait()
    assert await database.fetchval(reports) == 0
    assert aclue(service.home, *command[2:]).returncode == 0
    assert await database.fetchval(reports) == 50
    assert reconciled(service)["currencies"]["GBP"]["approved"] == "60.00"


def test_what_is_wrong_with_a_file_is_said_and_loses_nothing(service: Service, tmp_path: Path) -> None:
    bad = {**awin("B2"), "commissionAmount": {"amount": "much", "currency": "GBP"}}
    file = written(tmp_path, "bad.json", json.dumps([awin("B1", commission="2.00"), bad]))
    finished = aclue(service.home, "import", "conversions", "--network", "awin", file)
    assert finished.returncode == 1
    assert "row 2: amount: 'much' is no amount" in finished.stderr
    assert reconciled(service)["currencies"]["GBP"]["pending"] == "2.00"
    assert aclue(service.home, "import", "conversions", "--network", "awin", file).returncode == 1

    cut = written(tmp_path, "cut.json", json.dumps([awin("B3")])[:-20])
    for network, path, says in (
        ("awin", cut, "cut off"),
        ("awin", str(tmp_path / "none.json"), "No such file"),
        ("nobody", file, "needs a --mapping"),
        ("impact", file, "neither Actions nor ActionUpdates"),
    ):
        finished = aclue(service.home, "import", "conversions", "--network", network, path)
        assert finished.returncode == 1
        assert says in finished.stderr
        assert "Traceback" not in finished.stderr
    assert aclue(service.home, "ledger", "rebuild", "--check").returncode == 0


def test_rejected_payments_and_rates_have_their_numbers_in_the_file(service: Service, tmp_path: Path) -> None:
    paid = "network,advertiser_id,advertiser,period_start,period_end,currency,amount,paid_on,reference\n"
    first = "awin,9,,2026-07-01,2026-07-31,GBP,{},2026-08-20,ROW-1\n"
    rates = "date,currency,rate,source\n"
    for kind, header, bad, good in (
        ("payments", paid, first.format("much"), first),
        ("rates", rates, "2026-07-01,USD,0,numbered\n", "2026-07-01,USD,{},numbered\n"),
    ):
        known = written(tmp_path, "known.csv", header + good.format("2.00"))
        assert aclue(service.home, "import", kind, known).returncode == 0
        file = written(tmp_path, "changed.csv", header + bad + good.format("3.00"))
        finished = aclue(service.home, "import", kind, file)
        assert finished.returncode == 1
        assert "row 1:" in finished.stderr and "row 2:" in finished.stderr, finished.stderr
        assert "with an" in finished.stderr.split("row 2:")[1] or "other values" in finished.stderr.split("row 2:")[1]


def test_what_is_logged_meanwhile_is_not_part_of_what_a_command_finds(service: Service) -> None:
    finished = aclue(service.home, "report", "reconciliation", "--json", DATABASE_SLOW_QUERY_THRESHOLD="1")
    assert "slow query" in finished.stderr
    assert json.loads(finished.stdout)["currencies"] is not None


async def test_a_network_is_let_in_pushes_and_is_shut_out(
    service: Service, database: asyncpg.Connection[Any], tmp_path: Path
) -> None:
    added = aclue(service.home, "network", "postback", "add", "awin", "--name", "Pushes", PORT=str(service.port))
    assert added.returncode == 0, added.stderr
    url = added.stdout.strip()
    async with httpx.AsyncClient() as network:
        for body in (awin_push("P1", commission="3.00"), awin_push("P2", commission="much")):
            assert (await network.post(url, json=body | {"transactionCurrency": "EUR"})).status_code == 200
    await until(database, "(select count(*) from public.postbacks where status <> 'waiting') = 2")
    assert await database.fetchval("select pending_minor from public.conversions where reference = 'P1'") == 300
    failed = aclue(service.home, "network", "postbacks", "list", "--failed").stdout
    assert failed.count("\n") == 1
    assert "Pushes" in failed and "'much' is no amount" in failed
    assert aclue(service.home, "network", "postbacks", "retry", failed.split()[0]).stdout == "1 wait to be read again\n"

    listed = aclue(service.home, "network", "postback", "list").stdout
    assert aclue(service.home, "network", "postback", "revoke", listed.split()[0]).returncode == 0
    async with httpx.AsyncClient() as network:
        assert (await network.post(url, json=awin_push("P3"))).status_code == 404
    assert url.rpartition("/")[2] not in service.errors.read_text()

    mapping = written(tmp_path, "bad.toml", "format = 'csv'")
    for options, says in (
        (["direct"], "needs one"),
        (["direct", "--mapping", mapping], "the mapping is not valid"),
        (["awin", "--address", "here"], "write 192.0.2.7"),
    ):
        refused = aclue(service.home, "network", "postback", "add", *options)
        assert refused.returncode == 1
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr


async def test_decisions_by_command(service: Service, database: asyncpg.Connection[Any], tmp_path: Path) -> None:
    rows = [awin("D1", "approved", commission="3.00", advertiserId=501), awin("D2", advertiserId=501)]
    file = written(tmp_path, "decided.json", json.dumps(rows))
    header = "network,advertiser_id,advertiser,period_start,period_end,currency,amount,paid_on,reference"
    paid = written(tmp_path, "paid.csv", f"{header}\nawin,501,,2026-07-01,2026-07-31,GBP,2.00,2026-08-20,D-PAID\n")
    shop = await database.fetchval("select slug from public.retailers order by slug limit 1")

    async def run(*arguments: str) -> str:
        return printed(await asyncio.to_thread(invoked, service.home, *arguments))

    await run("import", "conversions", "--network", "awin", file)
    await run("import", "payments", paid)
    before = json.loads(await run("report", "reconciliation", "--json"))
    (line,) = [line for line in (await run("ledger", "exceptions")).splitlines() if "D-PAID" in line]
    assert "pays 2.00 GBP, and 1 conversions earned 3.00" in line
    exception = line.split()[0]
    await run("ledger", "accept", exception, "--reason", "Their bank took a fee.")
    await run("ledger", "adjust", "awin", "D2", "5.50", "--reason", "agreed by phone", "--at", "2026-07-10T00:00:00Z")
    await run("ledger", "match", "awin", "D2", "--shop", shop, "--reason", "Their invoice says so.")
    after = json.loads(await run("report", "reconciliation", "--json"))
    assert after["exceptions"] == before["exceptions"] - 1
    assert after["unmatched"] == before["unmatched"] - 1
    (mine,) = [row for row in after["by"] if row["retailer"] == shop]
    assert mine["pending"] == "5.50"
    await run("ledger", "hold", "awin", "D2", "--reason", "The shop asked.")
    (line,) = (await run("ledger", "flags")).splitlines()
    assert line.startswith("awin D2 ") and line.endswith("  held  manual: The shop asked.")
    await run("ledger", "release", "awin", "D2", "--reason", "It was an error.")
    assert await run("ledger", "flags") == ""
    assert "not held  manual: The shop asked.; released: It was an error." in await run("ledger", "flags", "--all")
    for wrong, says in (
        (("hold", "awin", "nothing", "--reason", "x"), "There is no such conversion."),
        (("release", "awin", "D2", "--reason", "x"), "It is not held."),
        (("adjust", "awin", "nothing", "1", "--reason", "x"), "There is no such conversion."),
        (("adjust", "awin", "D2", "much", "--reason", "x"), "AMOUNT: much is no amount such as 12.50"),
        (("adjust", "awin", "D2", "1", "--reason", "x", "--at", "noon"), "--at: noon is no time"),
        (("match", "awin", "D2", "--reason", "x"), "give one of --click, --shop and --placement"),
        (("match", "awin", "D2", "--click", "nonsense", "--reason", "x"), "is not the token of a tracked link"),
        (("match", "awin", "D2", "--shop", "nowhere", "--reason", "x"), "There is no such retailer."),
        (("accept", "nonsense", "--reason", "x"), "EXCEPTION: not a uuid"),
        (("decline", exception, "--reason", " "), "Say why"),
    ):
        assert says in complaint(await asyncio.to_thread(invoked, service.home, "ledger", *wrong)), wrong
    await run("ledger", "rebuild", "--check")
