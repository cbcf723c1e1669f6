"""A month of business goes in through the command, shuffled and replayed, and is true to the penny.

MONTH_CLICKS and MONTH_SALES make it larger (the ledger is meant for 100000 and 5000), MONTH_SEED makes another one.
MONTH_PULLED names the networks that are read from their APIs where all ways in are used at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

import cli
from tests.client import Client
from tests.e2e.conftest import HANGS, Service, aclue, demo_folder, environment, served
from tests.feed_server import feed_server
from tests.http.test_reconciliation import explained, over_graphql
from tests.integration.waiting import until
from tests.month import FIRST, SHOPS, File, Month, figures_of, prepare
from tests.month_files import awin_push
from tests.network_server import PASSWORD, PUBLISHER, TOKEN, Networks

CLICKS, SALES = int(os.environ.get("MONTH_CLICKS", "1000")), int(os.environ.get("MONTH_SALES", "200"))
SEED = int(os.environ.get("MONTH_SEED", "20260701"))
PULLED = tuple(os.environ.get("MONTH_PULLED", "ebay").split(","))  # the others take minutes, at their pace
SECRETS = {"SOURCE_TOKEN": TOKEN, "SOURCE_PASSWORD": PASSWORD}
ACCOUNTS: dict[str, tuple[str, ...]] = {
    "cj": ("--secret", "token=SOURCE_TOKEN", "--option", "currency=USD"),
    "rakuten": (
        "--secret", "report_token=SOURCE_TOKEN", "--secret", "client_id=SOURCE_TOKEN",
        "--secret", "client_secret=SOURCE_PASSWORD",
    ),
}  # fmt: skip


@pytest.fixture
def service() -> Iterator[Service]:
    """A server of its own: the figures are those of a whole database."""
    with demo_folder() as folder, served(folder) as running:
        yield running


async def begin(
    service: Service, database: asyncpg.Connection[Any], month: Month, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stores who sells and who clicked, makes the shops known to their networks, and writes the files."""
    await prepare(database, month)
    for shop in SHOPS:
        named = ("network", "advertiser", shop.network, shop.advertiser_id, shop.slug, "--currency", shop.currency)
        await run(service, monkeypatch, *named)
    for file in month.files:
        (folder / file.name).write_text(file.text)


async def test_a_shuffled_and_replayed_month_reconciles_to_the_penny(
    service: Service, database: asyncpg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = Month(seed=SEED, clicks=CLICKS, sales=SALES, pull_days=10 if SALES <= 1000 else 5)
    await begin(service, database, month, tmp_path, monkeypatch)

    for round_number in range(3):
        files = list(month.files)
        random.Random(round_number).shuffle(files)
        for file in files:
            await run(service, monkeypatch, *import_of(file, tmp_path))
        found = json.loads(await run(service, monkeypatch, "report", "reconciliation", "--json"))
        by = {(row["network"], row["retailer"], row["month"], row["currency"]): row for row in found["by"]}
        assert {key: figures_of(row) for key, row in by.items()} == month.by
        assert {code: figures_of(row) for code, row in found["currencies"].items()} == month.currencies
        assert (found["exceptions"], found["unmatched"]) == (0, month.unmatched)
        assert {row["variance"] for row in found["by"]} == {"0.00"}

    issued = aclue(service.home, "token", "--role", "finance", "--user-id", str(uuid4()))
    assert issued.returncode == 0, issued.stderr
    async with httpx.AsyncClient(base_url=service.url, timeout=HANGS) as http:
        finance = Client(http, issued.stdout.strip())
        told = await over_graphql(finance)
        assert (told["currencies"], told["by"]) == (found["currencies"], found["by"])
        assert await explained(finance) == await database.fetchval("select count(*) from public.conversions")

    finished = aclue(service.home, "ledger", "rebuild", "--check")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await database.fetch(off) == []


async def test_a_month_by_files_pushes_and_pulls_reconciles_to_the_penny(
    service: Service, database: asyncpg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = Month(seed=SEED + 1, clicks=CLICKS // 3, sales=SALES)
    await begin(service, database, month, tmp_path, monkeypatch)

    with feed_server() as server:
        networks = Networks(server)
        for file in month.files:
            if file.network in PULLED:
                networks.add(file)
        base = networks.server.url("")
        for code in PULLED:
            more = (*ACCOUNTS.get(code, ("--secret", "token=SOURCE_TOKEN")), "--url", base)
            more += ("--option", f"reports_url={base}") if code == "rakuten" else ()
            await run(service, monkeypatch, "network", "account", "add", code, "main", "--publisher", PUBLISHER, *more)

        for round_number in range(2):
            chance = random.Random(round_number)
            ways: list[Any] = [file for file in month.files if file.network not in PULLED]
            ways += [*PULLED, *chance.sample([sale for sale in month.sales if sale.shop.network == "awin"], 20)]
            chance.shuffle(ways)
            for way in ways:
                if isinstance(way, File):
                    await run(service, monkeypatch, *import_of(way, tmp_path))
                elif isinstance(way, str):
                    since = () if round_number else ("--since", f"{FIRST:%Y-%m-%d}")
                    await run(service, monkeypatch, "pull", way, *since)
                else:
                    await push(service, awin_push(way))
            await until(database, "not exists (select from public.postbacks where status = 'waiting')")
            found = json.loads(await run(service, monkeypatch, "report", "reconciliation", "--json"))
            by = {(row["network"], row["retailer"], row["month"], row["currency"]): row for row in found["by"]}
            assert {key: figures_of(row) for key, row in by.items()} == month.by
            assert (found["exceptions"], found["unmatched"]) == (0, month.unmatched)
    assert await database.fetch("select distinct status from public.postbacks") == [("done",)]
    off = "select 1 from public.ledger_entries group by transaction_id, currency having sum(amount_minor) <> 0"
    assert await database.fetch(off) == []


async def push(service: Service, message: dict[str, Any]) -> None:
    """Sends a message of Awin to the server, whose sender the first one adds."""
    place = service.home / "awin-postbacks"
    if not place.exists():
        added = await asyncio.to_thread(
            aclue, service.home, "network", "postback", "add", "awin", PORT=str(service.port)
        )
        assert added.returncode == 0, added.stderr
        place.write_text(added.stdout.strip())
    async with httpx.AsyncClient(timeout=HANGS) as network:
        answered = await network.post(place.read_text(), data={"AwinTransactionPush": json.dumps(message)})
    assert answered.status_code == 200, answered.text


def import_of(file: File, folder: Path) -> Sequence[str]:
    path = str(folder / file.name)
    return ("import", "conversions", "--network", file.network, path) if file.network else ("import", "payments", path)


async def run(service: Service, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Standard output of the command, which succeeds. In this process: a start costs more than a file."""
    with monkeypatch.context() as patch:
        for name, value in environment(service.home, ALLOW_PRIVATE_SOURCES="true", **SECRETS).items():
            patch.setenv(name, value)
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(arguments))
    assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
    return result.stdout
