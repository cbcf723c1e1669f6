"""Through GraphQL: what belongs to Anna is Anna's to see and to change, whatever somebody else knows of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from uuid import uuid4

import pytest

from domain import ids
from tests.client import SWIPE, Client
from tests.conftest import Shop

EVERYTHING = """{
  me {
    id email displayName
    swipes { totalCount nodes { id } pageInfo { endCursor } }
    affiliateClicks { totalCount nodes { id redirectUrl } }
    giftLinks { totalCount nodes { id url } }
    dismissedReasons { totalCount nodes { id label } }
    preferences { id totalSwipes }
    personality { id primaryType history { totalCount nodes { id } } }
    analytics { swipes affiliateClicks }
    sessions { totalCount nodes { id } }
  }
}"""
NODE = "query ($id: ID!) { node(id: $id) { __typename id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
UNDO = "mutation ($id: ID!) { undoSwipe(input: {swipeId: $id}) { undoneSwipeId userErrors { code message } } }"
RENAME = """
mutation ($name: String) {
  updateProfile(input: {displayName: $name}) { profile { displayName } userErrors { code } }
}
"""
CLICK = """
mutation ($product: ID!, $key: String, $recommendation: ID) {
  createAffiliateClick(input: {productId: $product, idempotencyKey: $key, recommendationId: $recommendation}) {
    click { id } userErrors { code message field }
  }
}
"""
DISMISS = (
    'mutation { dismissReason(input: {source: {kind: TRAIT, key: "social"}})'
    " { dismissedReason { id } userErrors { code } } }"
)
RESTORE = "mutation ($id: ID!) { restoreReason(input: {id: $id}) { dismissedReason { id } userErrors { code } } }"
GIVE = "mutation ($id: ID!) { createGiftLink(input: {productId: $id}) { giftLink { id } userErrors { code } } }"
REVOKE = "mutation ($id: ID!) { revokeGiftLink(input: {giftLinkId: $id}) { giftLink { id } userErrors { code } } }"
FEEDBACK = """
mutation ($id: ID!) {
  sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL}) {
    recommendation { id } userErrors { code field }
  }
}
"""
SWIPES = "query ($after: String) { me { swipes(first: 1, after: $after) { nodes { id } pageInfo { endCursor } } } }"
FEED = "query ($after: String) { recommendations(first: 3, after: $after) { nodes { product { id } } } }"


@dataclass
class Owned:
    """A person and the global ids of all that is theirs."""

    client: Client
    product: str
    rows: dict[str, str]

    def swipe(self) -> str:
        return self.rows["Swipe"]


async def with_rows(shop: Shop, person: Client) -> Owned:
    await person.take_quiz({"cre"})
    product = (await person.product("Books 3"))["id"]
    await person.swipe(product)
    await person.do(CLICK, product=product)
    await person.do(GIVE, id=product)
    await person.do(DISMISS)
    me = (await person.ask(EVERYTHING))["me"]
    rows = {
        "Profile": me["id"],
        "Swipe": me["swipes"]["nodes"][0]["id"],
        "AffiliateClick": me["affiliateClicks"]["nodes"][0]["id"],
        "GiftLink": me["giftLinks"]["nodes"][0]["id"],
        "DismissedReason": me["dismissedReasons"]["nodes"][0]["id"],
        "Preferences": me["preferences"]["id"],
        "PersonalityProfile": me["personality"]["id"],
        "Assessment": me["personality"]["history"]["nodes"][0]["id"],
    }
    if me["sessions"]["nodes"]:  # none where the account is another sign-in service's
        rows["Session"] = me["sessions"]["nodes"][0]["id"]
    return Owned(person, product, rows)


@pytest.fixture
async def anna(shop: Shop) -> Owned:
    return await with_rows(shop, await shop.account("anna@people.example"))


@pytest.fixture
async def others(shop: Shop) -> dict[str, Client]:
    """Everybody who is not Anna; the first two have rows of their own."""
    ben = await with_rows(shop, await shop.account("ben@people.example"))
    visitor = await with_rows(shop, await shop.anonymous())
    admin = shop.client(shop.token(uuid4(), app_metadata={"role": "admin"}))
    return {"ben": ben.client, "a visitor": visitor.client, "an administrator": admin, "nobody": shop.client()}


async def test_me_is_the_caller(anna: Owned, others: dict[str, Client]) -> None:
    hers = (await anna.client.ask(EVERYTHING))["me"]
    assert hers["email"] == "anna@people.example"
    assert (hers["swipes"]["totalCount"], hers["analytics"]) == (1, {"swipes": 1, "affiliateClicks": 1})
    seen = {name: (await other.ask(EVERYTHING))["me"] for name, other in others.items()}
    assert seen["nobody"] is seen["an administrator"] is None
    assert {name: me["email"] for name, me in seen.items() if me} == {"ben": "ben@people.example", "a visitor": None}
    urls = (hers["affiliateClicks"]["nodes"][0]["redirectUrl"], hers["giftLinks"]["nodes"][0]["url"])
    for secret in (*anna.rows.values(), *urls):
        assert secret in str(hers)
        assert secret not in str(seen)


async def test_ids_of_somebody_elses_rows_lead_nowhere(anna: Owned, others: dict[str, Client]) -> None:
    wanted = list(anna.rows.values())
    hers = (await anna.client.ask(NODES, ids=wanted))["nodes"]
    assert hers == [{"__typename": name, "id": id} for name, id in anna.rows.items()]
    for other in others.values():
        assert (await other.ask(NODES, ids=wanted))["nodes"] == [None] * len(wanted)
        assert [(await other.ask(NODE, id=id))["node"] for id in wanted] == [None] * len(wanted)


async def test_ids_under_another_types_name_lead_nowhere(anna: Owned) -> None:
    """A row's uuid is no key to anything else, not even for its owner."""
    keys = [decoded[1] for decoded in map(ids.decode, anna.rows.values()) if decoded]
    types = [*anna.rows, "Session", "UserSession", "Recommendation", "Query", "swipes"]
    crossed = [ids.encode(name, key) for name in types for key in keys]
    foreign = [id for id in crossed if id not in anna.rows.values()]
    assert (await anna.client.ask(NODES, ids=foreign[:100]))["nodes"] == [None] * len(foreign[:100])


async def test_nobody_undoes_somebody_elses_swipe(anna: Owned, others: dict[str, Client]) -> None:
    for name, other in others.items():
        if name == "nobody":
            assert await other.code(UNDO, id=anna.swipe()) == "UNAUTHENTICATED"
        else:
            assert (await other.refusal(UNDO, id=anna.swipe()))["code"] == "NOT_FOUND"
    assert (await anna.client.ask(EVERYTHING))["me"]["swipes"]["totalCount"] == 1
    assert (await anna.client.do(UNDO, id=anna.swipe()))["undoneSwipeId"] == anna.swipe()


async def test_a_swipe_that_is_somebody_elses_is_refused_like_one_that_is_not(
    anna: Owned, others: dict[str, Client]
) -> None:
    invented = ids.encode("Swipe", uuid4())
    assert await others["ben"].refusal(UNDO, id=anna.swipe()) == await others["ben"].refusal(UNDO, id=invented)


async def test_nobody_restores_somebody_elses_dismissed_reason(anna: Owned, others: dict[str, Client]) -> None:
    reason = anna.rows["DismissedReason"]
    for name, other in others.items():
        if name == "nobody":
            assert await other.code(RESTORE, id=reason) == "UNAUTHENTICATED"
        else:
            assert (await other.refusal(RESTORE, id=reason))["code"] == "NOT_FOUND"
    assert (await anna.client.ask(EVERYTHING))["me"]["dismissedReasons"]["totalCount"] == 1
    assert (await anna.client.do(RESTORE, id=reason))["dismissedReason"]["id"] == reason


async def test_nobody_revokes_somebody_elses_gift_link(anna: Owned, others: dict[str, Client]) -> None:
    link = anna.rows["GiftLink"]
    assert await others.pop("nobody").code(REVOKE, id=link) == "UNAUTHENTICATED"
    for other in others.values():
        assert (await other.refusal(REVOKE, id=link))["code"] == "NOT_FOUND"
    assert (await anna.client.do(REVOKE, id=link))["giftLink"]["id"] == link


async def test_changing_a_profile_changes_ones_own(anna: Owned, others: dict[str, Client], shop: Shop) -> None:
    assert (await anna.client.do(RENAME, name="Anna"))["profile"] == {"displayName": "Anna"}
    assert (await others["ben"].do(RENAME, name="Ben"))["profile"] == {"displayName": "Ben"}
    assert await others["nobody"].code(RENAME, name="Nobody") == "UNAUTHENTICATED"
    names = await shop.owner.fetch("select display_name from public.profiles where display_name is not null order by 1")
    assert [row[0] for row in names] == ["Anna", "Ben"]


async def test_a_recommendation_counts_only_for_whom_it_was_shown_to(anna: Owned, others: dict[str, Client]) -> None:
    shown = (await anna.client.feed(first=3))["nodes"]
    id, product = shown[0]["id"], shown[0]["product"]["id"]
    swipe = {"productId": product, "direction": "RIGHT", "clientSwipeId": "borrowed", "recommendationId": id}
    for name in ("ben", "a visitor"):
        other = others[name]
        assert (await other.ask(NODE, id=id))["node"] is None
        for document, variables in (
            (SWIPE, {"input": swipe}),
            (CLICK, {"product": product, "recommendation": id}),
            (FEEDBACK, {"id": id}),
        ):
            error = await other.refusal(document, **variables)
            assert (error["code"], error["field"]) == ("NOT_FOUND", ["recommendationId"])
    assert (await others["nobody"].ask(NODE, id=id))["node"] is None
    assert (await anna.client.ask(NODE, id=id))["node"] == {"__typename": "Recommendation", "id": id}
    await anna.client.do(SWIPE, input=swipe)
    await anna.client.do(CLICK, product=product, recommendation=id)
    assert (await anna.client.do(FEEDBACK, id=id))["recommendation"] == {"id": id}


async def test_a_forged_recommendation_counts_for_nobody(anna: Owned) -> None:
    id = (await anna.client.feed(first=1))["nodes"][0]["id"]
    for forged in (id[:-1] + ("A" if id[-1] != "A" else "B"), id[:10] + "AAAA" + id[14:], id[:-4], id * 2, ""):
        assert (await anna.client.ask(NODE, id=forged))["node"] is None
        assert (await anna.client.refusal(FEEDBACK, id=forged))["code"] == "NOT_FOUND"
    await anna.client.do(FEEDBACK, id=id)


async def test_somebody_elses_cursor_shows_only_ones_own(anna: Owned, others: dict[str, Client]) -> None:
    for product in (await anna.client.products(first=3))[:3]:
        await anna.client.swipe(product["id"])
        await others["ben"].swipe(product["id"])
    first = (await anna.client.ask(SWIPES))["me"]["swipes"]
    cursor = first["pageInfo"]["endCursor"]
    (hers,) = (await anna.client.ask(SWIPES, after=cursor))["me"]["swipes"]["nodes"]
    seen = (await others["ben"].ask(SWIPES, after=cursor))["me"]["swipes"]["nodes"]
    own = {swipe["id"] for swipe in (await others["ben"].ask(EVERYTHING))["me"]["swipes"]["nodes"]}
    assert len(seen) == 1
    assert {swipe["id"] for swipe in seen} <= own
    assert hers["id"] not in own


async def test_somebody_elses_feed_does_not_go_on(anna: Owned, others: dict[str, Client]) -> None:
    cursor = (await anna.client.feed(first=3))["pageInfo"]["endCursor"]
    assert len((await anna.client.ask(FEED, after=cursor))["recommendations"]["nodes"]) == 3
    for name in ("ben", "a visitor", "nobody"):
        assert await others[name].code(FEED, after=cursor) == "BAD_USER_INPUT"


async def test_forged_cursors_are_refused(anna: Owned) -> None:
    cursors = {
        SWIPES: (await anna.client.ask(SWIPES))["me"]["swipes"]["pageInfo"]["endCursor"],
        FEED: (await anna.client.feed(first=3))["pageInfo"]["endCursor"],
    }
    unsigned = base64.urlsafe_b64encode(b'["Swipe:NEWEST",["2020-01-01","00000000-0000-0000-0000-000000000000"]]')
    for document, cursor in cursors.items():
        (other,) = set(cursors.values()) - {cursor}
        end, start = ("BA" if cursor.endswith("AA") else "AA"), ("B" if cursor.startswith("A") else "A")
        for forged in (cursor[:-2] + end, start + cursor[1:], unsigned.decode().rstrip("="), other, " ", "' or 1=1 --"):
            assert await anna.client.code(document, after=forged) == "BAD_USER_INPUT"
        await anna.client.ask(document, after=cursor)


async def test_two_people_may_use_the_same_idempotency_key(anna: Owned, others: dict[str, Client], shop: Shop) -> None:
    clicks = {}
    for name, person in {"anna": anna.client, "ben": others["ben"], "a visitor": others["a visitor"]}.items():
        first = (await person.do(CLICK, product=anna.product, key="1"))["click"]["id"]
        again = (await person.do(CLICK, product=anna.product, key="1"))["click"]["id"]
        assert first == again
        clicks[name] = first
    assert len(set(clicks.values())) == 3
    another = (await anna.client.product("Tools 1"))["id"]
    assert (await others["ben"].refusal(CLICK, product=another, key="1"))["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_two_people_may_use_the_same_client_swipe_id(anna: Owned, others: dict[str, Client]) -> None:
    another = (await anna.client.product("Tools 1"))["id"]
    hers = await anna.client.swipe(another, "LEFT", clientSwipeId="same")
    his = await others["ben"].swipe(another, "UP", clientSwipeId="same")
    assert hers["swipe"]["id"] != his["swipe"]["id"]
    assert (hers["swipe"]["direction"], his["swipe"]["direction"]) == ("LEFT", "UP")
    assert (await anna.client.swipe(another, "LEFT", clientSwipeId="same"))["swipe"]["id"] == hers["swipe"]["id"]


async def test_service_role_sees_rows_by_id_and_has_none_of_its_own(anna: Owned, shop: Shop) -> None:
    service = shop.client(shop.token(uuid4(), role="service_role"))
    assert (await service.ask(EVERYTHING))["me"] is None
    assert (await service.ask(NODE, id=anna.rows["Profile"]))["node"] == {
        "__typename": "Profile",
        "id": anna.rows["Profile"],
    }
    assert (await service.refusal(UNDO, id=anna.swipe()))["code"] == "NOT_FOUND"
    assert (await anna.client.ask(NODE, id=anna.swipe()))["node"] is not None
