"""Currencies: the code and the database agree on decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from domain.currencies import EXPONENTS
from tests.conftest import Shop

PRICE = "query ($id: ID!) { product(id: $id) { price { amount currencyCode } } }"


async def test_the_table_says_what_the_code_says(owner: asyncpg.Connection[Any]) -> None:
    rows = await owner.fetch("select code, exponent from public.currencies")
    assert {row["code"]: row["exponent"] for row in rows} == EXPONENTS


@pytest.mark.parametrize(
    ("currency", "minor", "amount"), [("GBP", 1900, "19.00"), ("JPY", 1900, "1900"), ("KWD", 1900, "1.900")]
)
async def test_a_price_is_shown_with_the_decimals_of_its_currency(
    shop: Shop, currency: str, minor: int, amount: str
) -> None:
    await shop.owner.execute(
        "update products set currency = $1, price_minor = $2 where name = 'Camping 1'", currency, minor
    )
    product = await shop.client().product("Camping 1")
    found = (await shop.client().ask(PRICE, id=product["id"]))["product"]["price"]
    assert found == {"amount": amount, "currencyCode": currency}


@pytest.mark.parametrize("currency", ["GBP", "JPY", "KWD"])
async def test_a_price_limit_is_read_with_the_decimals_of_its_currency(shop: Shop, currency: str) -> None:
    await shop.owner.execute("update products set currency = $1", currency)
    limit = str(Decimal(1500).scaleb(-EXPONENTS[currency]))
    found = await shop.client().products(first=100, filter={"maxPrice": limit, "currencyCode": currency})
    truth = await shop.owner.fetchval("select count(*) from products where price_minor <= 1500")
    assert 0 < len(found) == truth < 50


async def test_a_limit_with_too_many_decimals_is_refused(shop: Shop) -> None:
    query = 'query ($max: Decimal) { products(filter: {maxPrice: $max, currencyCode: "JPY"}) { nodes { id } } }'
    assert await shop.client().code(query, max="10.5") == "BAD_USER_INPUT"
