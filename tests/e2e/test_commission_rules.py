"""What shops agreed to pay, kept by commands: a click made afterwards expects it."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.client import Client
from tests.e2e.conftest import Service, aclue
from tests.e2e.test_cli import complaint, invoked, printed

CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"


async def expected(service: Service, owner: asyncpg.Connection[asyncpg.Record]) -> str:
    """The terms that a new click keeps."""
    async with httpx.AsyncClient(base_url=service.url) as http:
        me = await Client(http).start_session()
        name = await owner.fetchval(
            "select p.name from public.products p join public.product_offers o on o.product_id = p.id"
            " join public.retailers r on r.id = o.retailer_id where p.is_active and r.slug = $1 order by 1 limit 1",
            await shop(owner),
        )
        await me.do(CLICK, id=(await me.product(name))["id"])
    row = await owner.fetchrow(
        "select commission_rule_id, commission_rate, commission_flat_minor, commission_cap_minor"
        " from public.affiliate_clicks order by id desc limit 1"
    )
    assert row is not None
    return f"{row['commission_rule_id']} {row[1]} {row[2]} {row[3]}"


async def shop(owner: asyncpg.Connection[asyncpg.Record]) -> str:
    found: str = await owner.fetchval(
        "select slug from public.retailers where affiliate_network <> 'amazon' order by 1 limit 1"
    )
    return found


async def test_a_click_expects_what_was_agreed_before(
    service: Service, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    slug = await shop(database)
    before = await expected(service, database)
    added = printed(aclue(service.home, "commission", "add", "--shop", slug, "--rate", "0.1234"))
    rule = added.split()[0]
    assert added.splitlines()[0] == f"{rule}  shop {slug}: 0.1234 of the price"
    assert await expected(service, database) == f"{rule} 0.1234 None None"

    terms = ("--flat", "2.50", "--cap", "2", "--currency", "GBP", "--since", "2026-01-01T00:00:00Z")
    flat = printed(aclue(service.home, "commission", "add", "--shop", slug, *terms)).split()[0]
    assert f"{flat}  shop {slug}: 2.50 GBP a sale, at most 2.00 GBP" in printed(
        aclue(service.home, "commission", "list")
    )
    assert complaint(aclue(service.home, "commission", "add", "--shop", slug, *terms)).endswith("end it first")

    later = ("--network", "awin", "--rate", "0.01", "--since", "2999-01-01T00:00:00Z")
    planned = printed(aclue(service.home, "commission", "add", *later)).split()[0]
    assert "removed" in printed(aclue(service.home, "commission", "end", planned))
    for each in (rule, flat):
        assert printed(aclue(service.home, "commission", "end", each)) == f"{each}  ends\n"
    assert "in force" in complaint(aclue(service.home, "commission", "end", rule))
    assert await expected(service, database) == before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--rate", "0.1"), "--shop or --network"),
        (("--shop", "a", "--network", "b", "--rate", "0.1"), "--shop or --network"),
        (("--shop", "a"), "--rate or --flat"),
        (("--shop", "a", "--rate", "5"), "from 0 to 1"),
        (("--shop", "a", "--rate", "0.00001"), "four decimals"),
        (("--shop", "a", "--rate", "nan"), "from 0 to 1"),
        (("--shop", "a", "--rate", "x"), "a share of the price"),
        (("--shop", "a", "--flat", "1"), "need --currency"),
        (("--shop", "a", "--flat", "1", "--currency", "XXX"), "Unknown currency"),
        (("--shop", "a", "--flat", "1.005", "--currency", "GBP"), "2 decimals"),
        (("--shop", "a", "--flat", "-1", "--currency", "GBP"), "zero or more"),
        (("--shop", "a", "--rate", "0.1", "--until", "2020-01-01T00:00:00Z"), "before it begins"),
        (("--shop", "a", "--rate", "0.1", "--since", "tomorrow"), "a time such as"),
    ],
)
def test_a_rule_without_sense_is_refused(home: Path, arguments: tuple[str, ...], why: str) -> None:
    assert why in complaint(invoked(home, "commission", "add", *arguments))


@pytest.mark.parametrize("option", ["--shop", "--network", "--category", "--brand"])
def test_what_it_is_about_has_to_be_there(service: Service, option: str) -> None:
    whose = () if option in ("--shop", "--network") else ("--network", "awin")
    finished = aclue(service.home, "commission", "add", *whose, option, "nowhere", "--rate", "0.1")
    assert "'nowhere'" in complaint(finished)
