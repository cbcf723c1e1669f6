"""Holds of sales: nobody who follows many links holds the sales of others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.fraud import Limits
from tests.conftest import Shop
from tests.integration.test_conversion_flags import AT, DESK, NEAR, PHONE, clicked, flag, followed, ordered
from tests.ledger import report

LIMITS = Limits(spike_hits=5, spike_factor=2)
HOUR = AT - timedelta(hours=1)


@pytest.mark.parametrize("is_private", [False, True], ids=["known", "asks for privacy"])
async def test_a_stranger_with_many_links_makes_no_spike(shop: Shop, is_private: bool) -> None:
    """Neither for the product, nor for the campaign, nor for everything that is sold through the network."""
    anna, stranger = await shop.anonymous(), await shop.anonymous()
    sold = await clicked(shop, anna, HOUR, campaign="summer")
    await followed(shop, sold, HOUR, address="198.51.100.1")
    for number in range(12):
        link = await clicked(shop, stranger, HOUR, campaign="summer")
        await followed(shop, link, HOUR, by=(PHONE, DESK)[number % 2], address=NEAR)
    if is_private:
        await shop.owner.execute("update public.affiliate_redirects set visitor_hash = null, network_hash = null")
    await report(shop.services, ordered("T1", click=sold))
    assert await flag(shop, LIMITS) == {}
    if not is_private:
        for number in range(2):  # with these it is five visitors
            await followed(shop, sold, HOUR, address=f"203.0.{number}.1")
        assert await flag(shop, LIMITS) == {"click_spike": 3}, "the product, the campaign and the network"
