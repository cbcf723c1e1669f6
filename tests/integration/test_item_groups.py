"""Products that differ by size or colour only have one key; everything else has its own."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import reference
from domain import ids
from tests.conftest import Shop

TABLE = next(table for table in reference.TABLES if table.name == "variant_words")
COLOURS = [word for key, value in reference.read(TABLE).items() if key.startswith("colour") for word in value["words"]]
VARIANTS = [
    [
        "Rain Jacket Red M",
        "Rain Jacket Blue L",
        "Rain Jacket XXL, dark green",
        "rain  jacket - navy (3XL)",
        "Rain Jacket",
    ],
    ["Trail Shoe, Size 42", "Trail Shoe - 43", "Trail Shoe (44.5)", "Trail Shoe EU 39", "Trail Shoe, black, 41"],
    [
        "Regenjacke Größe M",
        "Regenjacke Gr. XL",
        "Regenjacke dunkelblau",
        "Regenjacke, schwarz/weiß",
        "Regenjacke hellgrün",
    ],
    ["Rote Tasse", "Blaue Tasse", "Schwarze Tasse"],
    ["Olive Oil 500 ml", "Olive Oil 1 l", "Olive Oil 0,75l", "Olive Oil"],
    ["Candle 2 Pack", "Candle 4-pack", "Candle, pack of 6", "Candle 3er-Set", "Candle 200g", "Candle 12 Stück"],
    ["Frame 10 x 15 cm", "Frame 40x60", 'Frame 12"', "Frame 20 inch"],
    ["Poster (small)", "Poster, Large", "Poster X-Large", "Poster one size"],
    ["Black Leather Wallet", "Dark Brown Leather Wallet", "Navy Leather Wallet"],
    ["Socks black and white", "Socks red", "Socks black, white & grey", "Socks - dark blue/green - S/M"],
    ["Phone 128 GB black", "Phone 256 GB silver"],
]
DIFFERENT = [
    "Red Dead Redemption", "Dead Redemption", "Red Dead Redemption 2", "Blue Jasmine", "Jasmine", "Big Bang",
    "Bang", "Little Big Bang", "Black Tea", "Green Tea", "Tea", "White Chocolate", "Red", "Blue", "Grün", "XL", "M",
    "42", "Model S3", "Model 3", "One Piece 42", "One Piece 43", "1984", "Fahrenheit 451", "Area 51", "5G Router",
    "4G Router", "3 in 1 Charger", "2 in 1 Charger", "Catan", "Catan: Seafarers", "Mini Drone", "Drone Pro",
    "Black Friday Box", "Size Matters", "The M Train", "Vitamin C", "Death Note L Figure", "Death Note Figure",
    "Greenland Atlas", "Atlas", "Redwood Chess", "Wood Chess", "Grauer Wolf Puzzle", "Wolf Puzzle", "Goldfish Bowl",
    "Fish Bowl", "Bluetooth Speaker", "Tooth Speaker",
]  # fmt: skip


async def names_of(owner: asyncpg.Connection[Any], names: list[str]) -> list[str]:
    rows = await owner.fetch(
        "select private.variant_name(n) from unnest($1::text[]) with ordinality u (n, i) order by i", names
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("names", VARIANTS, ids=lambda names: names[0])
async def test_names_of_variants_are_equal(owner: asyncpg.Connection[Any], names: list[str]) -> None:
    found = await names_of(owner, names)
    assert len(set(found)) == 1, dict(zip(names, found, strict=True))


async def test_names_of_different_things_differ(owner: asyncpg.Connection[Any]) -> None:
    found = await names_of(owner, DIFFERENT)
    same = [(a, b) for (a, x), (b, y) in combinations(zip(DIFFERENT, found, strict=True), 2) if x == y]
    assert same == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from(["Harbour", "Lamp", "Fjord", "Puzzle", "Tasse", "Mütze", "Deluxe", "No. 7"]),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.sampled_from(COLOURS), min_size=2, max_size=2),
    st.sampled_from(["S", "M", "XXL", "Size 10", "500 ml", "2 pack", "12 inch", "Größe 44", "1,5 kg", "3er Set"]),
    st.sampled_from(["{n} {c} {s}", "{n}, {c}, {s}", "{n} - {c} ({s})", "{n} ({c}/{s})", "{n} {s} {c}"]),
    st.booleans(),
)
async def test_colour_and_size_at_the_end_say_nothing(
    owner: asyncpg.Connection[Any], name: list[str], colours: list[str], size: str, form: str, upper: bool
) -> None:
    base = " ".join(name)
    shown = [form.format(n=base, c=colour.title() if upper else colour, s=size) for colour in colours]
    assert set(await names_of(owner, [base, *shown])) == {base.lower()}, shown


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=60))
async def test_any_name_has_one_and_keeps_it(owner: asyncpg.Connection[Any], name: str) -> None:
    name = name.replace("\0", "") or "x"
    (once,) = await names_of(owner, [name])
    assert once is not None
    assert await names_of(owner, [once.replace("{}", "")]) is not None
    assert await names_of(owner, [f"  {name} "]) == [once]


async def test_a_long_name_is_done_at_once(owner: asyncpg.Connection[Any]) -> None:
    """A product's name has at most 500 characters: none makes an import or an update slow."""
    await owner.execute("set statement_timeout = '2s'")
    for part in ("1", "1 x ", "{} ", ", {}", "{},", "- ", "dark ", "S ", "red and ", "12", "a_"):
        assert len(await names_of(owner, [(part * 500)[:500]])) == 1


async def test_ones_own_words_regroup_all_products_and_stay(owner: asyncpg.Connection[Any]) -> None:
    assert len(set(await names_of(owner, ["Pen plum", "Pen red"]))) == 2
    await owner.execute(
        "update private.variant_words set words = words || '{plum}' where kind = 'colour' and language = 'en'"
    )
    assert len(set(await names_of(owner, ["Pen plum", "Pen red"]))) == 1
    await reference.load(owner)
    assert len(set(await names_of(owner, ["Pen plum", "Pen red"]))) == 1
    for words in (["("], ["a.*"], [""], ["a", ""], ["{}"], ["red\\M"], ["a "], [None], []):
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(
                "insert into private.variant_words values ('scale', 'en', $1)"
                " on conflict (kind, language) do update set words = excluded.words",
                words,
            )


@pytest.fixture
async def mugs(shop: Shop) -> list[UUID]:
    """Four products of one brand and shop."""
    rows = await shop.owner.fetch(
        "select brand_id, array_agg(id order by name) as ids from public.products where brand_id is not null"
        " group by brand_id having count(*) >= 4 order by brand_id limit 1"
    )
    assert rows
    found: list[UUID] = rows[0]["ids"][:4]
    await shop.owner.execute("update public.products set name = 'Mug ' || number where id = any ($1)", found)
    return found


async def keys(shop: Shop, products: list[UUID]) -> list[int]:
    rows = await shop.owner.fetch(
        "select p.item_group_key from unnest($1::uuid[]) with ordinality u (id, n)"
        " join public.products p using (id) order by n",
        products,
    )
    return [row[0] for row in rows]


async def test_the_key_follows_name_brand_and_item_group(shop: Shop, mugs: list[UUID]) -> None:
    assert len(set(await keys(shop, mugs))) == 4
    await shop.owner.execute("update public.products set name = 'Mug red' where id = $1", mugs[0])
    await shop.owner.execute("update public.products set name = 'Mug blue, 300 ml' where id = $1", mugs[1])
    one, two, *others = await keys(shop, mugs)
    assert one == two not in others
    await shop.owner.execute("update public.products set item_group = 'A1' where id = $1", mugs[1])
    assert len(set(await keys(shop, mugs))) == 4
    await shop.owner.execute("update public.products set item_group = 'A1' where id = $1", mugs[3])
    keyed = await keys(shop, mugs)
    assert keyed[1] == keyed[3] and len(set(keyed)) == 3
    await shop.owner.execute("update public.products set item_group = null, brand_id = null where id = any ($1)", mugs)
    await shop.owner.execute("update public.products set name = 'Mug' where id = any ($1)", mugs)
    assert len(set(await keys(shop, mugs))) == 4


async def test_an_item_group_is_of_its_shop(shop: Shop, mugs: list[UUID]) -> None:
    await shop.owner.execute("update public.products set item_group = 'A1' where id = any ($1)", mugs[:2])
    await shop.owner.execute("insert into public.retailers (slug, name) values ('other', 'Other')")
    assert len(set(await keys(shop, mugs[:2]))) == 1
    await shop.owner.execute(
        "update public.products set retailer_id = (select id from public.retailers where slug = 'other') where id = $1",
        mugs[0],
    )
    assert len(set(await keys(shop, mugs[:2]))) == 2


async def test_it_cannot_be_written_by_hand(shop: Shop, mugs: list[UUID]) -> None:
    before = await keys(shop, mugs)
    await shop.owner.execute("update public.products set item_group_key = 7 where id = any ($1)", mugs)
    assert await keys(shop, mugs) == before


async def test_an_administrators_change_regroups_at_once(shop: Shop, mugs: list[UUID]) -> None:
    admin = shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))
    update = "mutation ($i: UpdateProductInput!) { updateProduct(input: $i) { product { id } userErrors { code } } }"
    for mug, name in zip(mugs[:2], ("Mug, green", "Mug, black"), strict=True):
        await admin.do(update, i={"id": ids.encode("Product", mug), "name": name})
    one, two, *others = await keys(shop, mugs)
    assert one == two not in others


async def test_new_words_change_the_keys_that_are_stored(shop: Shop, mugs: list[UUID]) -> None:
    for mug, name in zip(mugs[:2], ("Mug plum", "Mug red"), strict=True):
        await shop.owner.execute("update public.products set name = $2 where id = $1", mug, name)
    assert len(set(await keys(shop, mugs[:2]))) == 2
    await shop.owner.execute(
        "update private.variant_words set words = words || '{plum}' where kind = 'colour' and language = 'en'"
    )
    assert len(set(await keys(shop, mugs[:2]))) == 1


async def test_after_a_new_model_every_key_is_right(shop: Shop) -> None:
    await shop.owner.execute("select private.refresh_model()")
    wrong = """
        select count(*) from public.products where item_group_key is distinct from
          private.item_group_key(id, retailer_id, item_group, brand_id, name)
    """
    assert await shop.owner.fetchval(wrong) == 0
    assert await shop.owner.fetchval("select count(*) from public.products where item_group_key is null") == 0
