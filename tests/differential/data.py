"""A small database in which everything that may be null, odd, long or foreign is so somewhere, and people with much,
with little and with nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from tests.client import Client
from tests.client_ids import uuid7
from tests.conftest import Shop
from tests.integration.test_ledger import pay
from tests.ledger import awin, report

ODD = (
    "ünïcode “quotes” \"double\" 'single' back\\slash\ttab\nline\r\u2028 \u0001\u001f\u007f"
    " </script> 🎁👨‍👩‍👧 e\u0301 %s {x} $1"
)
LONG = "Very long — " * 41
# name, description, price in minor units, currency, brand, image, tags, is in stock, is active
PRODUCTS: tuple[tuple[Any, ...], ...] = (
    ("Plain", None, 1, "GBP", None, None, [], True, True),
    (
        ODD,
        ODD * 3,
        1999,
        "EUR",
        "odd",
        "https://img.example/ü?q=\"1\"&x='2'",
        ["gift", "ünï", 'quo"te', "🎁"],
        True,
        True,
    ),
    (LONG, "Long. " * 4000, 9_007_199_254_740_993, "GBP", "alder", "https://img.example/1", ["t" * 40], False, True),
    ("Yen vase", None, 12_345, "JPY", None, "https://img.example/2", ["art"], True, True),
    ("Dinar ring", "", 12_345, "BHD", "birch", None, ["art", "gift"], True, True),
    ("null", "null", 100, "USD", "null", None, ["null", ""], True, True),
    ("[]", "{}", 100, "GBP", "cedar", None, ["true"], False, True),
    ("Gone before it was liked", None, 2_500, "GBP", "alder", None, ["gift"], True, False),
    ("Gone after it was liked", "Still in a list", 2_500, "GBP", None, None, ["outdoors"], True, True),
    (
        "Camping Stove",
        "Also camping; a search for camping finds it",
        999,
        "GBP",
        "birch",
        None,
        ["outdoors"],
        True,
        True,
    ),
)
SEEN_FIRST = 12  # products that Anna swipes


async def fill(shop: Shop) -> dict[str, tuple[UUID, UUID | None]]:
    """Fills the database of this shop, which holds the small catalogue of tests/catalogue.py already. Gives the profile
    and the session of each person by name."""
    await _fill_catalogue(shop.owner)
    people = {
        "anna": await shop.account("anna@people.example"),
        "visitor": await shop.anonymous(),
        "withdrawn": await shop.account("withdrawn@people.example"),
        "fresh": await shop.account("fresh@people.example"),
        "admin": await shop.account("admin@people.example"),
        "analyst": await shop.account("analyst@people.example"),
    }
    admin_id = await _profile(shop.owner, "admin@people.example")
    await _administer(shop.client(shop.token(admin_id, app_metadata={"role": "admin"})))
    await _live_much(people["anna"])
    await _report_money(shop)
    await _live_little(people["visitor"])
    await _merge(shop.owner)
    await _withdraw(people["withdrawn"])
    await _age(shop.owner)
    await shop.owner.execute("select private.refresh_model()")
    await shop.owner.execute("analyze")
    found = {}
    for name, client in people.items():
        profile = (await shop.services.tokens.verify(client.token or "")).subject
        assert profile is not None
        session = await shop.owner.fetchval(
            "select id from public.user_sessions where user_id = $1 order by created_at limit 1", profile
        )
        found[name] = (profile, session)
    return found


async def _profile(owner: asyncpg.Connection[Any], email: str) -> UUID:
    found: UUID = await owner.fetchval("select id from public.profiles where email = $1", email)
    return found


async def _fill_catalogue(owner: asyncpg.Connection[Any]) -> None:
    await owner.execute("insert into public.brands (slug, name) values ('odd', $1)", ODD)
    await owner.execute(
        """
        insert into public.brands (slug, name, is_active) values ('null', 'null', true), ('closed', 'Closed', false);
        insert into public.retailers (slug, name, domain, affiliate_network) values ('unknown', '', null, null);
        """
    )
    await owner.execute(
        """
        insert into public.categories (slug, name, parent_id, is_active)
        select v.slug, v.name, (select id from public.categories where slug = v.parent), v.is_active
        from (values ('tents', $1, 'camping', true), ('closed', 'Closed', 'camping', false), ('empty', '', null, true))
          v (slug, name, parent, is_active)
        """,
        ODD,
    )
    for number, (name, description, price, currency, brand, image, tags, in_stock, is_active) in enumerate(PRODUCTS):
        await owner.execute(
            """
            insert into public.products (
              name, description, price_minor, currency, brand_id, image_url, tags, in_stock, is_active, category_id,
              retailer_id, external_id, affiliate_url, feed_popularity, created_at)
            values ($1, $2, $3, $4, (select id from public.brands where slug = $5), $6, $7, $8, $9,
              (select id from public.categories order by slug offset $10 % 8 limit 1),
              (select id from public.retailers order by slug offset $10 % 4 limit 1),
              'odd-' || $10, 'https://shop.example/odd', case when $10 % 2 = 0 then 0.9 end,
              now() - $10 * interval '1 day 1 microsecond')
            """,
            *(name, description, price, currency, brand, image, tags, in_stock, is_active, number),
        )
    await owner.execute(
        """
        insert into public.products (
          name, price_minor, currency, in_stock, category_id, retailer_id, external_id, affiliate_url, is_active,
          merged_into, merged_at, merged_by)
        select p.name, p.price_minor + 7, case when p.price_minor % 3 = 0 then 'EUR' else p.currency end,
          p.price_minor % 2 = 0, p.category_id, r.id, 'other-' || p.external_id, 'https://other.example', false,
          p.id, now(), 'gtin'
        from public.products p, public.retailers r where r.slug = 'unknown' and p.external_id like '%-1';
        select private.refresh_model();
        insert into public.experiments (key, description) values ('colour', '');
        insert into public.experiment_arms (experiment_id, name, share)
        select id, name, 1 from public.experiments, unnest(array['red', 'blue']) name;
        update public.experiments set starts_at = now() - interval '1 day';
        """
    )


async def _administer(admin: Client) -> None:
    """Prices that change, and an audit log."""
    products = await admin.products(first=9)
    change = "mutation ($input: UpdateProductInput!) { updateProduct(input: $input) { userErrors { message } } }"
    for number, product in enumerate(products):
        await admin.do(change, input={"id": product["id"], "price": f"{10 + number}"})
    await admin.do(change, input={"id": products[0]["id"], "description": ODD, "tags": ["gift", "changed"]})


async def _report_money(shop: Shop) -> None:
    """Sales of two clicks and of none, one of which is an exception, and a payment that is another."""
    first, second = await shop.owner.fetch("select id from public.affiliate_clicks order by id limit 2")
    await report(
        shop.services,
        awin("D1", click=first["id"]),
        awin("D2", "approved", click=second["id"], commission="3.00"),
        awin("D3", "declined"),
        awin("D3", "approved", validated="2026-07-25T00:00:00"),
        awin("D4", "approved", commission="5", sale="70", currency="JPY"),
    )
    await pay(shop, "9.00")


async def _live_much(anna: Client) -> None:
    feed = (await anna.feed(first=9))["nodes"]
    await anna.take_quiz({"adv", "cre"})
    await anna.take_quiz({"adv", "soc"}, completionTimeSeconds=77, trigger="PERIODIC")
    await anna.take_quiz({"soc"}, completionTimeSeconds=5)
    await _save_answers(anna)
    products = await anna.products(first=100)
    for number, product in enumerate(products[:SEEN_FIRST] + [p for p in products if p["name"].startswith("Gone")]):
        context = {"odd": ODD, "list": [1, 2.5, None]} if number % 3 == 0 else None
        direction = ("RIGHT", "UP", "LEFT", "RIGHT", "DOWN")[number % 5]
        swipe = await anna.swipe(product["id"], direction, context=context)
        if number == 3:
            undo = "mutation ($input: UndoSwipeInput!) { undoSwipe(input: $input) { userErrors { message } } }"
            await anna.do(undo, input={"swipeId": swipe["swipe"]["id"]})
        click = """mutation ($input: AffiliateClickInput!) {
          createAffiliateClick(input: $input) { userErrors { message } } }"""
        if number % 3 == 1:
            await anna.do(click, input={"productId": product["id"], "campaign": ODD[:150]})
        link = "mutation ($input: GiftLinkInput!) { createGiftLink(input: $input) { userErrors { message } } }"
        if number % 4 == 0:
            more = {"message": ODD, "recipientName": "O'Neil", "occasion": "🎂", "maxUses": 3} if number else {}
            await anna.do(link, input={"productId": product["id"], **more})
        view = "mutation ($input: RecordProductViewsInput!) { recordProductViews(input: $input) { recorded } }"
        await anna.ask(view, input={"views": [{"id": uuid7(), "productId": product["id"], "durationSeconds": number}]})
        event = "mutation ($input: RecordEventsInput!) { recordEvents(input: $input) { recorded } }"
        await anna.ask(event, input={"events": [{"id": uuid7(), "name": f"event_{number % 5}"}]})
    liked, same = (node["product"]["id"] for node in feed[:2])  # merged later: see _merge
    for kind, key in (("PRODUCT", liked), ("PRODUCT", same), ("CATEGORY", "books"), ("TRAIT", "social")):
        await _dismiss(anna, kind, key)
    seen = "mutation ($input: RecordImpressionsInput!) { recordImpressions(input: $input) { recorded } }"
    now = datetime.now(UTC).isoformat()
    shown = [{"id": uuid7(), "recommendationId": node["id"], "position": 1, "shownAt": now} for node in feed]
    await anna.ask(seen, input={"impressions": shown})
    feedback = """mutation ($input: RecommendationFeedbackInput!) {
      sendRecommendationFeedback(input: $input) { userErrors { message } } }"""
    for node, kind in zip(feed, ("HELPFUL", "NOT_HELPFUL", "NOT_INTERESTED", "ALREADY_OWNED"), strict=False):
        await anna.do(feedback, input={"recommendationId": node["id"], "kind": kind, "rating": 3, "comment": ODD})
    profile = "mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { message } } }"
    stated = {
        "odd": ODD,
        "zero": 0,
        "deep": [{"": None}, [[]], {"ü": 1.5e-7, "many": 12345678901234567890}],
        "no": False,
    }
    await anna.do(profile, input={"displayName": 'Ánna "A" \\ 🎁', "statedPreferences": stated})
    await _consent(anna, "MARKETING", True)


async def _merge(owner: asyncpg.Connection[Any]) -> None:
    """Merges the products of rows that do not move: two conversions, and two dismissed reasons of one person."""
    for products in (
        "select o.product_id from public.conversions o where o.product_id is not null",
        "select d.product_id from public.dismissed_reasons d where d.product_id is not null",
    ):
        winner, loser = sorted({row["product_id"] for row in await owner.fetch(products)})
        await owner.execute("select private.merge_products(array[$1::uuid], array[$2::uuid], 'gtin')", winner, loser)


async def _live_little(visitor: Client) -> None:
    for product in (await visitor.products(first=20))[10:14]:
        await visitor.swipe(product["id"], "UP")
    await _dismiss(visitor, "TAG", "gift")


async def _withdraw(person: Client) -> None:
    for product in (await person.products(first=20))[5:9]:
        await person.swipe(product["id"], "RIGHT")
    await person.take_quiz({"int"})
    await _dismiss(person, "BRAND", "alder")
    await _save_answers(person)
    await _consent(person, "PERSONALISATION", False)


async def _save_answers(person: Client) -> None:
    save = "mutation ($input: SaveQuizAnswersInput!) { saveQuizAnswers(input: $input) { userErrors { message } } }"
    await person.do(save, input={"version": "2.0", "answers": [{"questionId": "adv-1", "value": 2}]})


async def _dismiss(person: Client, kind: str, key: str) -> None:
    dismiss = "mutation ($input: DismissReasonInput!) { dismissReason(input: $input) { userErrors { message } } }"
    await person.do(dismiss, input={"source": {"kind": kind, "key": key}})


async def _consent(person: Client, purpose: str, granted: bool) -> None:
    update = "mutation ($input: UpdateConsentsInput!) { updateConsents(input: $input) { userErrors { message } } }"
    consents = [{"purpose": purpose, "granted": granted}]
    await person.do(update, input={"consents": consents, "policyVersion": "2026-01"})


async def _age(owner: asyncpg.Connection[Any]) -> None:
    """What only time and the service itself bring about."""
    await owner.execute(
        """
        update public.products set is_active = false where name = 'Gone after it was liked';
        update public.gift_links set revoked_at = now() where id = (select max(id::text)::uuid from public.gift_links);
        update public.gift_links set expires_at = now() - interval '1 day'
          where id = (select min(id::text)::uuid from public.gift_links);
        update public.personality_assessment_history set assessment_quality_score = null, completion_time_seconds = null
          where id = (select min(id::text)::uuid from public.personality_assessment_history);
        """
    )
    for level, component, context, request_id in (
        ("info", "housekeeping", {}, None),
        ("error", "graphql", {"odd": ODD, "n": 1.0}, "0123456789abcdef"),
        ("warning", ODD[:90], {"list": [1, None, {"a": []}]}, ""),
        ("critical", "pool", {"b": 1, "a": 2, "aa": 3}, None),
        ("debug", "pool", {}, None),
    ):
        await owner.execute(
            """
            insert into public.system_logs (level, component, message, context, request_id)
            values ($1, $2, $3, $4, $5)
            """,
            *(level, component, ODD, json.dumps(context), request_id),
        )
