"""An anonymous session becomes part of an account: nothing is lost, nothing is doubled, and it happens once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from domain import ids
from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop
from tests.http.test_impressions import impression, record
from tests.http.test_sessions import REFRESH_PAIR, pass_grace, refreshed, refused
from tests.streams import PREFERENCES, socket

MERGE = """
mutation ($token: String!) {
  mergeSession(input: {refreshToken: $token}) {
    swipes clicks views assessments userErrors { code message field }
  }
}
"""
MERGE_BY = """
mutation ($input: MergeSessionInput!) { mergeSession(input: $input) { swipes userErrors { code message field } } }
"""
CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { click { id } userErrors { code } } }"
VIEW = """
mutation ($id: ID!, $product: ID!) {
  recordProductViews(input: {views: [{id: $id, productId: $product}]}) { recorded userErrors { code } }
}
"""
REFRESH = """
mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) { accessToken userErrors { code } } }
"""
MINE = """{
  me {
    isAnonymous displayName
    swipes(first: 100) { totalCount nodes { id direction product { name } } }
    affiliateClicks { totalCount }
    preferences { totalSwipes rightSwipes categories { slug score } }
    personality { primaryType history { totalCount } }
    analytics { swipes views affiliateClicks sessions }
  }
}"""
COUNTS = ("swipes", "clicks", "views", "assessments")


async def mine(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = (await client.ask(MINE))["me"]
    return found


async def merge(account: Client, session: Client) -> dict[str, Any]:
    return await account.do(MERGE, token=session.refresh_token)


async def test_all_of_a_session_becomes_the_accounts(shop: Shop) -> None:
    session = await shop.anonymous()
    products = await session.products(first=4)
    for product in products:
        await session.swipe(product["id"])
    await session.do(CLICK, id=products[0]["id"])
    await session.do(VIEW, id=uuid7(), product=products[1]["id"])
    await session.take_quiz({"cre"})
    before = await mine(session)
    account = await shop.account()

    merged = await merge(account, session)

    assert [merged[name] for name in COUNTS] == [4, 1, 1, 1]
    after = await mine(account)
    assert not after["isAnonymous"]
    of_ours = 2 if shop.base.accounts_are_ours else 1  # Supabase keeps the account's own session
    assert after["analytics"] == {"swipes": 4, "views": 1, "affiliateClicks": 1, "sessions": of_ours}
    assert after["personality"] == before["personality"]
    assert after["preferences"] == before["preferences"]
    assert after["swipes"]["nodes"] == before["swipes"]["nodes"]


async def test_the_session_ends_with_it(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    product = (await session.products(first=1))[0]["id"]

    await merge(account, session)

    assert (await session.ask("{ me { id } }"))["me"] is None
    swipe = {"productId": product, "direction": "RIGHT", "clientSwipeId": "late"}
    late = "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { swipe { id } userErrors { code } } }"
    assert await session.code(late, input=swipe) == "UNAUTHENTICATED"
    refusal = await shop.client().refusal(REFRESH, token=session.refresh_token)
    assert refusal["code"] == "INVALID_CREDENTIALS"


@pytest.mark.parametrize(("first", "then"), [("LEFT", "RIGHT"), ("RIGHT", "LEFT")])
@pytest.mark.parametrize("newer", ["session", "account"])
async def test_the_newer_signal_wins(shop: Shop, newer: str, first: str, then: str) -> None:
    session, account = await shop.anonymous(), await shop.account()
    older, later = (account, session) if newer == "session" else (session, account)
    product = await session.product("Books 1")
    await older.swipe(product["id"], first)
    await later.swipe(product["id"], then)

    await merge(account, session)

    found = await mine(account)
    assert found["preferences"]["totalSwipes"] == 2
    assert (found["preferences"]["categories"][0]["score"] > 0) is (then == "RIGHT")
    signals = await shop.owner.fetch("select direction::text from public.product_signals")
    assert [row["direction"] for row in signals] == [then.lower()]


async def test_what_follows_is_what_swiping_in_one_go_would_have_given(shop: Shop) -> None:
    session, account, other = await shop.anonymous(), await shop.account(), await shop.account()
    products = await session.products(first=12)
    for number, product in enumerate(products):
        direction = ("RIGHT", "LEFT", "UP")[number % 3]
        await (session if number % 2 else account).swipe(product["id"], direction)
        await other.swipe(product["id"], direction)

    await merge(account, session)

    assert (await mine(account))["preferences"] == (await mine(other))["preferences"]


async def test_merging_again_changes_nothing_and_says_the_same(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    await session.swipe((await session.products(first=1))[0]["id"])
    first = await merge(account, session)
    before = await mine(account)

    assert await merge(account, session) == first
    assert await mine(account) == before


async def test_merging_again_computes_nothing(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    await session.swipe((await session.products(first=1))[0]["id"])
    async with socket(shop, account.token) as events:
        await events.subscribe(PREFERENCES)
        await merge(account, session)
        assert (await events.event())["preferencesUpdated"]["totalSwipes"] == 1
        await merge(account, session)
        await events.hears_nothing()


async def test_a_session_goes_to_one_account_only(shop: Shop) -> None:
    session, account, other = await shop.anonymous(), await shop.account(), await shop.account()
    await session.swipe((await session.products(first=1))[0]["id"])
    await merge(account, session)

    refusal = await other.refusal(MERGE, token=session.refresh_token)

    assert (refusal["code"], refusal["field"]) == ("CONFLICT", ["refreshToken"])
    assert (await mine(other))["swipes"]["totalCount"] == 0
    assert (await mine(account))["swipes"]["totalCount"] == 1


async def test_of_two_accounts_at_once_one_gets_it(shop: Shop) -> None:
    session, *accounts = await shop.anonymous(), await shop.account(), await shop.account(), await shop.account()
    await session.swipe((await session.products(first=1))[0]["id"])

    payloads = await asyncio.gather(*(account.ask(MERGE, token=session.refresh_token) for account in accounts))

    merged = [p["mergeSession"]["swipes"] for p in payloads if not p["mergeSession"]["userErrors"]]
    refused = [e["code"] for p in payloads for e in p["mergeSession"]["userErrors"]]
    assert (merged, refused) == ([1], ["CONFLICT", "CONFLICT"])
    assert [(await mine(account))["swipes"]["totalCount"] for account in accounts].count(1) == 1


async def test_no_swipe_is_lost_while_sessions_are_merged(shop: Shop) -> None:
    """A swipe that was answered with success is the account's in the end, whenever it came."""
    session, account = await shop.anonymous(), await shop.account()
    products = await session.products(first=30)
    record = "mutation ($input: SwipeInput!) { recordSwipe(input: $input) { swipe { id } userErrors { code } } }"

    async def swipe(product: dict[str, Any], delay: float) -> bool:
        await asyncio.sleep(delay)
        given = {"productId": product["id"], "direction": "RIGHT", "clientSwipeId": product["id"]}
        body = (await session.post(record, input=given)).json()
        if "errors" in body:
            assert body["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED", body
            return False
        assert not body["data"]["recordSwipe"]["userErrors"]
        return True

    async def merge_soon() -> None:
        await asyncio.sleep(0.1)
        await merge(account, session)

    kept = await asyncio.gather(*(swipe(product, n * 0.01) for n, product in enumerate(products)), merge_soon())

    assert 0 < kept.count(True) <= 30
    assert (await mine(account))["analytics"]["swipes"] == kept.count(True)
    assert await shop.owner.fetchval("select count(*) from public.swipes") == kept.count(True)


async def test_one_swipe_sent_under_both_tokens_is_one(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    books, tools, party = [await session.product(name) for name in ("Books 1", "Tools 1", "Party 1")]
    await session.swipe(books["id"], "RIGHT", clientSwipeId="same")
    await account.swipe(books["id"], "RIGHT", clientSwipeId="same")
    await session.swipe(tools["id"], "RIGHT", clientSwipeId="shared")
    await account.swipe(party["id"], "LEFT", clientSwipeId="shared")

    assert (await merge(account, session))["swipes"] == 1

    found = await mine(account)
    assert sorted(s["product"]["name"] for s in found["swipes"]["nodes"]) == ["Books 1", "Party 1", "Tools 1"]
    assert found["preferences"]["totalSwipes"] == 3


async def test_one_view_sent_under_both_tokens_is_one_though_its_product_was_merged(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    one, other = [await session.product(name) for name in ("Books 1", "Tools 1")]
    same = [(uuid7(), product["id"]) for product in (one, other)]
    for client in (session, account):
        for id, product in same:
            await client.do(VIEW, id=id, product=product)
    keys = [ids.decode_as("Product", product["id"]) for product in (one, other)]
    assert await shop.owner.fetchval("select outcome from private.merge_two_products($1, $2)", *keys) == "merged"

    assert (await merge(account, session))["userErrors"] == []

    assert (await mine(account))["analytics"]["views"] == 2


async def test_the_quizzes_of_both_count_together(shop: Shop) -> None:
    combined = []
    for newer in ("session", "account"):
        session, account = await shop.anonymous(), await shop.account()
        older, later = (account, session) if newer == "session" else (session, account)
        await older.take_quiz({"cre", "adv"})
        await later.take_quiz({"adv"})
        feed = await session.feed(first=2)
        for node in feed["nodes"]:
            await session.swipe(node["product"]["id"], recommendationId=node["id"])

        await merge(account, session)

        found = await mine(account)
        assert found["personality"] == {"primaryType": "ADVENTUROUS", "history": {"totalCount": 2}}
        newest = "history(first: 1) { nodes { share combined { percentile } } }"
        query = f"{{ me {{ personality {{ scores {{ percentile }} {newest} }} }} }}"
        both = (await account.ask(query))["me"]["personality"]
        assert both["history"]["nodes"][0]["combined"] == both["scores"], "which the feed reads"
        assert both["history"]["nodes"][0]["share"] == pytest.approx(0.5, abs=0.05)
        combined.append([score["percentile"] for score in both["scores"]])
    assert combined[0] == pytest.approx(combined[1], abs=0.1)
    assert 30 < combined[0][3] < 70 < combined[0][0]
    assert await shop.owner.fetchval("select count(*) from public.personality_recommendations") == 4


async def test_what_was_shown_to_both_keeps_its_swipes(shop: Shop) -> None:
    """The same recommendation under both: one row, and both swipes refer to it."""
    session, account = await shop.anonymous(), await shop.account()
    node = (await session.feed(first=1))["nodes"][0]
    await session.swipe(node["product"]["id"], recommendationId=node["id"])
    session_profile = await shop.owner.fetchval("select user_id from public.recommendations")
    await account.swipe(node["product"]["id"], "LEFT")
    await shop.owner.execute(
        """
        insert into public.recommendations (user_id, product_id, recommendation_context, model_version, position,
          propensity, score, generated_at)
        select p.id, r.product_id, r.recommendation_context, r.model_version, r.position, r.propensity, r.score,
          r.generated_at
        from public.recommendations r, public.profiles p where not p.is_anonymous
        """
    )

    await merge(account, session)

    rows = await shop.owner.fetch("select user_id, id from public.recommendations")
    assert len(rows) == 1 and rows[0]["user_id"] != session_profile
    shown = await shop.owner.fetch("select recommendation_id from public.swipes order by created_at")
    assert [row["recommendation_id"] for row in shown] == [rows[0]["id"], None]


async def test_the_same_recommendation_of_both_is_one_afterwards(shop: Shop) -> None:
    """Shown without a token, then acted on and recorded under both."""
    session, account = await shop.anonymous(), await shop.account()
    node, other = (await shop.client().feed(first=2))["nodes"]
    seen, later = impression(node), impression(other)
    for client in (session, account):
        await client.swipe(node["product"]["id"], recommendationId=node["id"])
        await record(client, seen)
    await record(session, later)

    await merge(account, session)

    (row,) = await shop.owner.fetch("select user_id, id from public.recommendations")
    swipes = await shop.owner.fetch("select user_id, recommendation_id from public.swipes")
    assert {tuple(swipe) for swipe in swipes} == {tuple(row)}
    stored = await shop.owner.fetch("select user_id, id::text from public.impressions order by id")
    assert {tuple(each) for each in stored} == {(row["user_id"], seen["id"]), (row["user_id"], later["id"])}


async def test_the_accounts_own_words_stay_and_gaps_are_filled(shop: Shop) -> None:
    rename = """
    mutation ($name: String, $said: JSON) {
      updateProfile(input: {displayName: $name, statedPreferences: $said}) {
        profile { displayName statedPreferences } userErrors { code }
      }
    }
    """
    session, account = await shop.anonymous(), await shop.account()
    await session.do(rename, name="Visitor", said={"colour": "red", "size": "L"})
    await account.do(rename, said={"colour": "blue"}, name=None)

    await merge(account, session)

    me = (await account.ask("{ me { displayName statedPreferences } }"))["me"]
    assert me == {"displayName": "Visitor", "statedPreferences": {"colour": "blue", "size": "L"}}


async def test_only_an_account_takes_over_and_only_a_session_is_taken_over(shop: Shop) -> None:
    session, other, account = await shop.anonymous(), await shop.anonymous(), await shop.account()
    stranger = await shop.account()

    assert await shop.client().code(MERGE, token=session.refresh_token) == "UNAUTHENTICATED"
    assert (await other.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID"
    if shop.base.accounts_are_ours:
        for taken in (stranger.refresh_token, account.refresh_token):
            assert (await account.refusal(MERGE, token=taken))["code"] == "INVALID"
    robot = Client(shop.http, shop.token(uuid.uuid4(), role="service_role"))
    assert (await robot.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID"
    ghost = Client(shop.http, shop.token(uuid.uuid4()))
    assert (await ghost.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID"


async def test_the_refresh_token_must_be_valid(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    assert session.refresh_token
    changed = session.refresh_token[:-4] + ("AAAA" if session.refresh_token[-4:] != "AAAA" else "BBBB")
    for bad in ("", "nonsense", session.token, changed, "A" * 64, session.refresh_token + "="):
        refusal = await account.refusal(MERGE, token=bad)
        assert (refusal["code"], refusal["field"]) == ("INVALID_CREDENTIALS", ["refreshToken"]), bad
    mine = ids.decode_as("Profile", await session.my_id())
    await shop.owner.execute("update public.user_sessions set expires_at = now() where user_id = $1", mine)
    assert (await account.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID_CREDENTIALS"
    assert await shop.owner.fetchval("select count(*) from public.profiles where is_anonymous") == 1


@pytest.mark.parametrize("given", [{"sessionToken": "of the session"}, {}, {"refreshToken": None}], ids=str)
async def test_an_access_token_is_no_proof(shop: Shop, given: dict[str, Any]) -> None:
    """It is seen by every server on its way, and what it opens is not to be taken for good."""
    session, account = await shop.anonymous(), await shop.account()
    given = {name: session.token if value else None for name, value in given.items()}
    refusal = await account.refusal(MERGE_BY, input=given)
    assert (refusal["code"], refusal["field"]) == ("INVALID", ["refreshToken"])
    assert "refreshToken" in refusal["message"]
    assert (await session.ask("{ me { id } }"))["me"] is not None


async def test_an_access_token_beside_the_proof_is_not_looked_at(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    await account.do(MERGE_BY, input={"sessionToken": "nonsense", "refreshToken": session.refresh_token})


async def test_a_refresh_token_within_its_grace_is_a_proof(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    await refreshed(shop, session.refresh_token)
    assert await merge(account, session) == await merge(account, session)


async def test_a_refresh_token_that_was_used_before_is_no_proof_and_ends_the_session(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    fresh = await refreshed(shop, session.refresh_token)
    await pass_grace(shop)
    assert (await account.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID_CREDENTIALS"
    assert await refused(shop, fresh["refreshToken"])
    assert (await account.refusal(MERGE, token=fresh["refreshToken"]))["code"] == "INVALID_CREDENTIALS"


async def test_it_voids_every_refresh_token_of_the_session(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    pairs = [await refreshed(shop, session.refresh_token) for _ in range(2)]
    await merge(account, session)
    for token in (session.refresh_token, *(pair["refreshToken"] for pair in pairs)):
        assert await refused(shop, token)


async def test_a_session_that_is_refreshed_while_it_is_merged_is_over(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    again = [shop.client().ask(REFRESH_PAIR, t=session.refresh_token) for _ in range(10)]
    _, *answers = await asyncio.gather(merge(account, session), *again)
    given = [answer["refreshSession"]["refreshToken"] for answer in answers]
    for token in (session.refresh_token, *filter(None, given)):
        assert await refused(shop, token)


async def test_a_backup_from_before_the_merge_holds_a_session_that_can_be_erased_too(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    profile = await shop.owner.fetchval("select id from public.profiles where is_anonymous")
    await merge(account, session)

    erase = "mutation { deleteMyAccount(input: {confirm: true}) { deleted userErrors { code } } }"
    assert (await account.do(erase))["deleted"]

    left = {row[0] for row in await shop.owner.fetch("select subject_hash from public.erasure_tombstones")}
    assert len(left) == 2 and shop.services.tombstones.of(profile) in left


@pytest.mark.usefixtures("own_accounts")
async def test_what_was_signed_out_is_not_to_be_merged_and_does_not_merge(shop: Shop) -> None:
    """A thief of an access token has some minutes more: too many to take a session over, or to pour one in."""
    out = "mutation { signOut { userErrors { code } } }"
    session, account = await shop.anonymous(), await shop.account()
    await session.do(out)
    assert (await account.refusal(MERGE, token=session.refresh_token))["code"] == "INVALID_CREDENTIALS"
    session, thief = await shop.anonymous(), await shop.account()
    await thief.do(out)
    assert await thief.code(MERGE, token=session.refresh_token) == "UNAUTHENTICATED"
    assert await shop.owner.fetchval("select count(*) from public.session_merges") == 0


async def test_ids_of_swipes_that_foresee_the_merge_do_not_stop_it(shop: Shop) -> None:
    session, account = await shop.anonymous(), await shop.account()
    first, second, third = await session.products(first=3)
    await account.swipe(third["id"], clientSwipeId="mine")
    made = await session.swipe(first["id"], clientSwipeId="mine")
    (key,) = await shop.owner.fetchrow(
        "select id from public.swipes where product_id = $1", ids.decode_as("Product", first["id"])
    )
    await session.swipe(second["id"], clientSwipeId=f"mine~{key}")
    assert made["swipe"]
    assert (await merge(account, session))["swipes"] == 2
