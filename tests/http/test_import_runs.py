"""What administrators read of imports, and that nobody else does."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from db import import_runs
from db.product_imports import import_products
from tests.client import Client
from tests.conftest import Shop
from tests.integration.test_import_runs import MAPPING, record

RUNS = """
{ importRuns(first: 10) { totalCount nodes {
  id number outcome startedBy fileName fileHash mapping counts error startedAt finishedAt
  undoes { number } undoneBy { number }
} } }
"""
PRODUCTS = '{ products(first: 5, search: "Imported") { nodes { name origin { line run { number fileName } } } } }'


@pytest.fixture
async def numbers(shop: Shop, tmp_path: Path) -> tuple[int, int]:
    """Of an import of two products, and of one of them renamed."""
    feed, found = tmp_path / "feed.jsonl", []
    for name in ("Imported pot", "Imported pan"):
        feed.write_text("\n".join(json.dumps(r) for r in (record(1, title="Imported jug"), record(2, title=name))))
        report = await import_products(shop.owner, feed, MAPPING, started_by="anna")
        assert report.run
        found.append(report.run)
    return found[0], found[1]


def admin(shop: Shop) -> Client:
    return shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))


async def test_administrators_see_runs_newest_first(shop: Shop, numbers: tuple[int, int]) -> None:
    undone = await import_runs.undo(shop.owner, numbers[1])
    runs = (await admin(shop).ask(RUNS))["importRuns"]
    assert [run["number"] for run in runs["nodes"][:3]] == [undone.number, *reversed(numbers)]
    undo, second, first = runs["nodes"][:3]
    assert undo["undoes"] == {"number": numbers[1]}
    assert second["undoneBy"] == {"number": undone.number}
    assert (first["outcome"], first["startedBy"], first["fileName"]) == ("DONE", "anna", "feed.jsonl")
    assert first["counts"]["inserted"] == 2
    assert len(first["fileHash"]) == 64
    assert first["mapping"]["retailer"]["slug"] == "shop"
    node = "query ($id: ID!) { node(id: $id) { ... on ImportRun { number } } }"
    assert (await admin(shop).ask(node, id=first["id"]))["node"] == {"number": numbers[0]}
    assert (await (await shop.anonymous()).ask(node, id=first["id"]))["node"] is None


async def test_a_product_names_its_run_and_line_to_administrators(shop: Shop, numbers: tuple[int, int]) -> None:
    found = (await admin(shop).ask(PRODUCTS))["products"]["nodes"]
    origins = {node["name"]: (node["origin"]["run"]["number"], node["origin"]["line"]) for node in found}
    assert origins == {"Imported jug": (numbers[0], 1), "Imported pan": (numbers[1], 2)}


async def test_nobody_else_sees_either(shop: Shop, numbers: tuple[int, int]) -> None:
    assert await shop.client().code(RUNS) == "UNAUTHENTICATED"
    for client in (await shop.anonymous(), await shop.account()):
        assert await client.code(RUNS) == "FORBIDDEN"
        found = (await client.ask(PRODUCTS))["products"]["nodes"]
        assert [node["origin"] for node in found] == [None, None]
    analyst = shop.client(shop.token(uuid.uuid4(), app_metadata={"role": "analyst"}))
    assert await analyst.code(RUNS) == "FORBIDDEN"
