"""A month of business goes in through the command, shuffled and replayed, and is true to the penny.

MONTH_CLICKS and MONTH_SALES make it larger (the ledger is meant for 100000 and 5000), MONTH_SEED makes another one.
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
from tests.e2e.conftest import HANGS, Service, aclue, data_folder, environment, served
from tests.http.test_reconciliation import explained, over_graphql
from tests.month import SHOPS, File, Month, figures_of, prepare

CLICKS, SALES = int(os.environ.get("MONTH_CLICKS", "1000")), int(os.environ.get("MONTH_SALES", "200"))
SEED = int(os.environ.get("MONTH_SEED", "20260701"))


@pytest.fixture
def service() -> Iterator[Service]:
    """A server of its own: the figures are those of a whole database."""
    with data_folder() as folder, served(folder) as running:
        yield running


async def test_a_shuffled_and_replayed_month_reconciles_to_the_penny(
    service: Service, database: asyncpg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = Month(seed=SEED, clicks=CLICKS, sales=SALES, pull_days=10 if SALES <= 1000 else 5)
    await prepare(database, month)
    for shop in SHOPS:
        named = ("network", "advertiser", shop.network, shop.advertiser_id, shop.slug, "--currency", shop.currency)
        await run(service, monkeypatch, *named)
    for file in month.files:
        (tmp_path / file.name).write_text(file.text)

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


def import_of(file: File, folder: Path) -> Sequence[str]:
    path = str(folder / file.name)
    return ("import", "conversions", "--network", file.network, path) if file.network else ("import", "payments", path)


async def run(service: Service, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Standard output of the command, which succeeds. In this process: a start costs more than a file."""
    with monkeypatch.context() as patch:
        for name, value in environment(service.home).items():
            patch.setenv(name, value)
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(arguments))
    assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception!r}"
    return result.stdout
