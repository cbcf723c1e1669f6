"""placeholder while writing"""

from tests.conftest import Shop


async def test_feed_reacts(shop: Shop) -> None:
    anna = await shop.anonymous()
    await anna.take_quiz({"adv"})
    feed = await anna.feed(first=5)
    assert feed["nodes"][0]["product"]["category"]["slug"] == "camping"
