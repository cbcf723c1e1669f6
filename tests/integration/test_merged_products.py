"""One product, many shops: imports merge what several shops sell under one GTIN, and splits undo it exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import import_runs
from db.product_imports import ImportReport, import_products
from domain.feed_mappings import Mapping, parse_mapping

GTIN = "9520000001001"
OTHER_GTIN = "9520000001018"
OFFERS = """
select r.slug, o.price_minor, o.is_active
from public.product_offers o join public.retailers r on r.id = o.retailer_id
where o.product_id = $1 order by r.slug, o.price_minor
"""
CATALOGUE = """
select p.id, p.name, p.price_minor, r.slug as seller, p.in_stock
from public.products p join public.retailers r on r.id = p.seller_id where p.is_active order by p.created_at, p.id
"""
VERSIONS = """
select 'product', xmin::text, id from public.products
union all select 'offer', xmin::text, id from public.product_offers
order by 1, 3
"""


def mapping(shop: str) -> Mapping:
    return parse_mapping(f"""
format = "jsonl"
[fields]
external_id = "id"
name = "name"
price = "price"
affiliate_url = "url"
brand = "brand"
gtin = "gtin"
in_stock = "stock"
shipping = "shipping"
[constants]
currency = "GBP"
[retailer]
slug = "{shop}"
network = "direct"
domain = "{shop}.example"
""")


def item(id: str, price: str = "10.00", gtin: str | None = GTIN, **more: object) -> dict[str, object]:
    found = {"id": id, "name": f"Thing {id}", "price": price, "gtin": gtin, **more}
    return {name: value for name, value in found.items() if value is not None}


class Feeds:
    def __init__(self, owner: Any, folder: Path) -> None:
        self.owner = owner
        self.file = folder / "feed.jsonl"

    async def load(self, shop: str, *items: dict[str, object], **options: Any) -> ImportReport:
        lines = [json.dumps({"url": f"https://{shop}.example/{each['id']}", **each}) for each in items]
        self.file.write_text("\n".join(lines))
        return await import_products(self.owner, self.file, mapping(shop), force=True, **options)

    async def catalogue(self) -> list[tuple[Any, ...]]:
        """Name, price and seller of what is on sale, oldest first."""
        return [(row["name"], row["price_minor"], row["seller"]) for row in await self.owner.fetch(CATALOGUE)]

    async def id_of(self, name: str) -> UUID:
        id: UUID = await self.owner.fetchval("select id from public.products where name = $1", name)
        return id

    async def offers(self, name: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.owner.fetch(OFFERS, await self.id_of(name))]


@pytest.fixture
def feeds(owner: Any, tmp_path: Path) -> Feeds:
    return Feeds(owner, tmp_path)


async def test_two_shops_sell_one_product_and_the_cheaper_leads(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"))
    report = await feeds.load("two", item("b", "9.00"))
    assert (report.inserted, report.merged) == (1, 1)
    assert await feeds.catalogue() == [("Thing a", 900, "two")]
    assert await feeds.offers("Thing a") == [("one", 1000, True), ("two", 900, True)]
    await feeds.load("two", item("b", "11.00"))
    assert await feeds.catalogue() == [("Thing a", 1000, "one")]


@pytest.mark.parametrize("same", ["09520000001001"])
async def test_a_number_of_13_digits_is_one_of_14(feeds: Feeds, same: str) -> None:
    await feeds.load("one", item("a"))
    await feeds.load("two", item("b", gtin=same))
    assert len(await feeds.catalogue()) == 1


async def test_what_is_in_stock_leads_even_if_dearer(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00", stock=True))
    await feeds.load("two", item("b", "9.00", stock=False))
    assert await feeds.catalogue() == [("Thing a", 1000, "one")]
    await feeds.load("one", item("a", "10.00", stock=False))
    assert await feeds.catalogue() == [("Thing a", 900, "two")]


async def test_importing_again_writes_nothing_in_either_order(feeds: Feeds) -> None:
    await feeds.load("one", item("a"), item("c", gtin=OTHER_GTIN))
    await feeds.load("two", item("b", "9.00", brand="Alder"))
    before = await feeds.owner.fetch(VERSIONS)
    for shop, items in (
        ("one", [item("a"), item("c", gtin=OTHER_GTIN)]),
        ("two", [item("b", "9.00", brand="Alder")]),
    ) * 2:
        report = await feeds.load(shop, *items)
        assert (report.unchanged, report.written) == (len(items), 0)
    assert await feeds.owner.fetch(VERSIONS) == before


async def test_one_edit_of_a_merged_offer_updates_one_listing(feeds: Feeds) -> None:
    await feeds.load("one", item("a"))
    await feeds.load("two", item("b", "12.00"))
    report = await feeds.load("two", item("b", "12.50"))
    assert (report.updated, report.written) == (1, 1)
    assert await feeds.offers("Thing a") == [("one", 1000, True), ("two", 1250, True)]
    assert await feeds.catalogue() == [("Thing a", 1000, "one")]


@pytest.mark.parametrize(
    "second",
    [
        {"gtin": OTHER_GTIN},
        {"gtin": None},
        {"brand": "Birch"},
    ],
)
async def test_other_numbers_none_or_other_brands_stay_apart(feeds: Feeds, second: dict[str, object]) -> None:
    await feeds.load("one", item("a", brand="Alder"))
    report = await feeds.load("two", item("b", **{"brand": "Alder", **second}))  # type: ignore[arg-type]
    assert report.merged == 0
    assert len(await feeds.catalogue()) == 2


async def test_numbers_that_shops_give_themselves_merge_nothing(feeds: Feeds) -> None:
    for shop, id in (("one", "a"), ("two", "b")):
        await feeds.load(shop, item(id, gtin="2000000000015"))
    assert len(await feeds.catalogue()) == 2


async def test_two_listings_of_one_shop_are_never_one(feeds: Feeds) -> None:
    await feeds.load("one", item("a"), item("b"))
    await feeds.load("two", item("c", "5.00"))
    assert [row[0] for row in await feeds.catalogue()] == ["Thing a", "Thing b"]
    assert await feeds.offers("Thing a") == [("one", 1000, True), ("two", 500, True)]
    await feeds.load("three", item("d", "4.00"), item("e", "3.00"))
    assert await feeds.catalogue() == [("Thing a", 400, "three"), ("Thing b", 1000, "one"), ("Thing e", 300, "three")]


async def test_a_brandless_listing_does_not_join_two_brands(feeds: Feeds) -> None:
    await feeds.load("one", item("a"))
    await feeds.load("two", item("b", brand="Alder"))
    await feeds.load("three", item("c", brand="Birch"))
    assert [row[0] for row in await feeds.catalogue()] == ["Thing a", "Thing c"]


async def test_a_product_stays_on_sale_while_another_shop_sells_it(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"), item("keep", gtin=None))
    await feeds.load("two", item("b", "12.00"))
    report = await feeds.load("one", item("keep", gtin=None))
    assert report.deactivated == 1
    assert ("Thing a", 1200, "two") in await feeds.catalogue()
    await feeds.load("two", item("other", gtin=None))
    assert "Thing a" not in [row[0] for row in await feeds.catalogue()]
    report = await feeds.load("one", item("a", "10.00"), item("keep", gtin=None))
    assert report.reactivated == 1
    assert ("Thing a", 1000, "one") in await feeds.catalogue()


async def test_a_number_that_changes_splits_and_one_that_comes_merges(feeds: Feeds) -> None:
    await feeds.load("one", item("a"))
    await feeds.load("two", item("b", "9.00", gtin=None))
    assert len(await feeds.catalogue()) == 2
    report = await feeds.load("two", item("b", "9.00"))
    assert (report.merged, await feeds.catalogue()) == (1, [("Thing a", 900, "two")])
    report = await feeds.load("two", item("b", "9.00", gtin=OTHER_GTIN))
    assert (report.split, report.merged) == (1, 0)
    assert await feeds.catalogue() == [("Thing a", 1000, "one"), ("Thing b", 900, "two")]


async def test_each_offer_keeps_its_price_history(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"))
    await feeds.load("two", item("b", "12.00"))
    await feeds.load("two", item("b", "8.00"))
    prices = "select price_minor from public.product_prices where product_id = $1 order by valid_from"
    histories = [
        [row[0] for row in await feeds.owner.fetch(prices, await feeds.id_of(name))] for name in ("Thing a", "Thing b")
    ]
    assert histories == [[1000], [1200, 800]]


async def person(owner: Any) -> UUID:
    id = uuid4()
    await owner.execute("insert into public.profiles (id, is_anonymous) values ($1, true)", id)
    return id


async def swipe(owner: Any, user: UUID, product: UUID, direction: str) -> UUID:
    id: UUID = await owner.fetchval(
        "insert into public.swipes (user_id, client_swipe_id, product_id, direction) values ($1, $2, $3, $4)"
        " returning id",
        user, str(uuid4()), product, direction,
    )  # fmt: skip
    await owner.execute(
        "insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)"
        " select user_id, product_id, id, direction, preference_strength, created_at from public.swipes where id = $1"
        " on conflict (user_id, product_id) do update set swipe_id = excluded.swipe_id, direction = excluded.direction,"
        " preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at",
        id,
    )
    return id


ACTIVITY = """
select 'swipe', user_id, product_id, id from public.swipes
union all select 'signal', user_id, product_id, swipe_id from public.product_signals
union all select 'gift link', user_id, product_id, id from public.gift_links
union all select 'dismissal', user_id, product_id, id from public.dismissed_reasons
union all select 'recommendation', user_id, product_id, id from public.recommendations
order by 1, 2, 4
"""


async def test_what_people_did_moves_and_a_split_moves_it_back(feeds: Feeds) -> None:
    owner = feeds.owner
    await feeds.load("one", item("a"))
    await feeds.load("two", item("b", "9.00", gtin=None))
    first, second = await feeds.id_of("Thing a"), await feeds.id_of("Thing b")
    both, one, other = [await person(owner) for _ in range(3)]
    await swipe(owner, both, first, "right")
    await swipe(owner, both, second, "left")
    await swipe(owner, one, first, "up")
    await swipe(owner, other, second, "right")
    for user in (both, other):
        await owner.execute("insert into public.gift_links (user_id, product_id) values ($1, $2)", user, second)
    for product in (first, second):
        await owner.execute(
            "insert into public.dismissed_reasons (user_id, product_id, label) values ($1, $2, 'x')", both, product
        )
        await owner.execute(
            "insert into public.recommendations (user_id, product_id, recommendation_context, model_version, position,"
            " propensity, score, generated_at, arm) values ($1, $2, 'discover', 1, 1, 0.5, 0.5, '2026-11-01', 0)",
            both, product,
        )  # fmt: skip
    before = await owner.fetch(ACTIVITY)

    assert (await feeds.load("two", item("b", "9.00"))).merged == 1
    signals = await owner.fetch("select user_id, product_id, direction from public.product_signals")
    assert {tuple(row) for row in signals} == {(both, first, "left"), (one, first, "up"), (other, first, "right")}
    assert await owner.fetchval("select count(*) from public.swipes where product_id = $1", first) == 4
    assert await owner.fetchval("select count(*) from public.gift_links where product_id = $1", first) == 2
    later = await swipe(owner, one, first, "left")

    found = await owner.fetch("select * from private.split_product($1)", first)
    assert [(row["outcome"], row["product_id"], row["split_id"]) for row in found] == [("split", first, second)]
    after = [row for row in await owner.fetch(ACTIVITY) if row["id"] != later]
    assert [row for row in before if (row[0], row[1]) != ("signal", one)] == after
    assert await owner.fetchval("select count(*) from private.merged_rows") == 0
    assert await feeds.catalogue() == [("Thing a", 1000, "one"), ("Thing b", 900, "two")]
    # Somebody who split them knows better than the number.
    assert (await feeds.load("two", item("b", "9.50"))).merged == 0
    assert len(await feeds.catalogue()) == 2


async def test_listings_merged_one_into_another_are_split_at_once(feeds: Feeds) -> None:
    owner = feeds.owner
    for name in "abcd":
        await feeds.load(f"shop-{name}", item(name, gtin=None))
    ids = {name: await feeds.id_of(f"Thing {name}") for name in "abcd"}
    people = [await person(owner) for _ in range(3)]
    for user, names in zip(people, ("abcd", "c", "bd"), strict=True):
        for name in names:
            await swipe(owner, user, ids[name], "right")
            await owner.execute("insert into public.gift_links (user_id, product_id) values ($1, $2)", user, ids[name])
    before = await owner.fetch(ACTIVITY)
    offers = "select id, product_id from public.product_offers order by id"
    apart = await owner.fetch(offers)

    for winner, loser in ("bc", "ab", "ad"):
        await owner.execute(
            "select private.merge_products(array[$1::uuid], array[$2::uuid], 'gtin')", ids[winner], ids[loser]
        )
    assert await owner.fetchval("select count(*) from public.swipes where product_id = $1", ids["a"]) == 7
    # Who still saw the listing writes of it; the row moves at once, and goes back with it.
    late = await owner.fetchval(
        "insert into public.gift_links (user_id, product_id) values ($1, $2) returning id", people[1], ids["c"]
    )
    assert await owner.fetchval("select product_id from public.gift_links where id = $1", late) == ids["a"]

    await owner.execute("select private.split_products($1, 'gtin')", [ids[name] for name in "dbc"])
    assert await owner.fetch(offers) == apart
    after = await owner.fetch(ACTIVITY)
    assert [row for row in after if row["id"] != late] == before
    assert await owner.fetchval("select product_id from public.gift_links where id = $1", late) == ids["c"]
    assert await owner.fetchval("select count(*) from private.merged_rows") == 0
    assert len(await feeds.catalogue()) == 4


async def test_merging_by_hand_keeps_the_older_and_is_audited(feeds: Feeds) -> None:
    owner = feeds.owner
    await feeds.load("one", item("a", gtin=None))
    await feeds.load("two", item("b", "9.00", gtin=None))
    await feeds.load("three", item("c", "8.00", gtin=None))
    a, b, c = [await feeds.id_of(f"Thing {name}") for name in "abc"]
    merge = "select outcome, product_id, merged_id from private.merge_two_products($1, $2)"
    assert tuple(await owner.fetchrow(merge, c, b)) == ("merged", b, c)
    assert tuple(await owner.fetchrow(merge, a, c)) == ("merged", a, b), "a merged id stands for its product"
    assert tuple(await owner.fetchrow(merge, b, c)) == ("same", a, None)
    assert tuple(await owner.fetchrow(merge, a, uuid4())) == ("unknown", None, None)
    assert await feeds.catalogue() == [("Thing a", 800, "three")]
    split = "select outcome, split_id from private.split_product($1)"
    assert [tuple(row) for row in await owner.fetch(split, b)] == [("split", b)]
    assert await feeds.catalogue() == [("Thing a", 1000, "one"), ("Thing b", 800, "three")], "as before the last merge"
    assert [tuple(row) for row in await owner.fetch(split, a)] == [("whole", None)]
    entries = await owner.fetch(
        "select operation from public.audit_log where operation in ('merge', 'split') order by id"
    )
    assert [row[0] for row in entries] == ["merge", "merge", "split"]


async def test_offers_in_the_default_currency_lead(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"))
    await feeds.load("two", item("b", "9.00"))
    await feeds.owner.execute(
        "update public.product_offers set currency = 'EUR' where id = $1", await feeds.id_of("Thing b")
    )
    assert await feeds.catalogue() == [("Thing a", 1000, "one")]
    assert await feeds.owner.fetchval("select private.set_default_currency('EUR')") == 1
    assert await feeds.catalogue() == [("Thing a", 900, "two")]
    assert await feeds.owner.fetchval("select private.set_default_currency('EUR')") == 0


STATE = """
select 'product', p.id, to_jsonb(p) - '{updated_at,created_at,search,number}'::text[]
  -- Nobody sees the price of a merged row: its offer has it.
  - case when p.merged_into is not null then 'price_minor' else '' end from public.products p
union all select 'offer', o.id, to_jsonb(o) - '{last_seen_at,first_seen_at}'::text[] from public.product_offers o
union all select 'price', h.product_id, to_jsonb(h) - '{valid_from}'::text[] from public.product_prices h
order by 1, 2, 3
"""


async def test_taking_an_import_back_splits_again(feeds: Feeds) -> None:
    owner = feeds.owner
    await feeds.load("one", item("a", "10.00"), item("c", gtin=OTHER_GTIN))
    await feeds.load("two", item("b", "9.00", gtin=None))
    user = await person(owner)
    await swipe(owner, user, await feeds.id_of("Thing b"), "right")
    before, activity = await owner.fetch(STATE), await owner.fetch(ACTIVITY)
    report = await feeds.load("two", item("b", "8.00"), item("d", "7.00", gtin=OTHER_GTIN))
    assert (report.merged, report.run) == (2, 3)
    assert await feeds.catalogue() == [("Thing a", 800, "two"), ("Thing c", 700, "two")]
    after, moved = await owner.fetch(STATE), await owner.fetch(ACTIVITY)

    undone = await import_runs.undo(owner, 3)
    assert (await owner.fetch(STATE), await owner.fetch(ACTIVITY)) == (before, activity)
    assert await feeds.catalogue() == [("Thing a", 1000, "one"), ("Thing c", 1000, "one"), ("Thing b", 900, "two")]

    await import_runs.undo(owner, undone.number)
    assert (await owner.fetch(STATE), await owner.fetch(ACTIVITY)) == (after, moved)


async def test_an_import_is_taken_back_though_another_shop_leads_since(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"))
    second = await feeds.load("two", item("b", "12.00"))
    await feeds.load("one", item("a", "9.00"))
    assert second.run is not None
    await import_runs.undo(feeds.owner, second.run)
    assert await feeds.offers("Thing a") == [("one", 900, True)]
    assert await feeds.catalogue() == [("Thing a", 900, "one")]


async def test_an_import_is_not_taken_back_once_its_offer_has_another_price(feeds: Feeds) -> None:
    await feeds.load("one", item("a", "10.00"))
    second = await feeds.load("two", item("b", "12.00"))
    await feeds.load("two", item("b", "13.00"))
    assert second.run is not None
    with pytest.raises(import_runs.UndoRefused) as refused:
        await import_runs.undo(feeds.owner, second.run)
    assert {(each.table, each.label) for each in refused.value.conflicts} == {("public.product_offers", "b")}


@pytest.mark.parametrize(
    ("written", "minor", "warnings"),
    [
        ("4.95", 495, 0),
        ("0.00 GBP", 0, 0),
        ("GB:::3.50 GBP,DE:::9.00 GBP", 350, 0),
        ("US:CA:Standard:5.00 USD", None, 1),
        ("-1.00", None, 1),
        ("free", None, 1),
    ],
)
async def test_shipping_where_the_feed_says_it(feeds: Feeds, written: str, minor: int | None, warnings: int) -> None:
    report = await feeds.load("one", item("a", shipping=written))
    assert (report.inserted, report.warnings) == (1, warnings)
    assert await feeds.owner.fetchval("select shipping_minor from public.product_offers") == minor
    assert (await feeds.load("one", item("a", shipping=written))).unchanged == 1
