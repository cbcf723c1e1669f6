"""The operations of the API, asked by a visitor, an anonymous session, an account and an administrator; those of an
account's life are in bench/account_operations.py.

bench/plans.py watches what they make Postgres do; tests/integration/test_plans.py holds that no root field is missing.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.money_operations import money

Ask = Callable[[str, dict[str, Any], str], Awaitable[dict[str, Any]]]
"""(document, variables, token) -> data; raises where the answer has errors."""

PRODUCT = (
    "id name price { amount currencyCode } brand { id name } category { id name parent { name } } retailer { name }"
)
PAGE = f"totalCount pageInfo {{ endCursor hasNextPage }} nodes {{ {PRODUCT} }}"
FEED = f"pageInfo {{ endCursor hasNextPage }} nodes {{ id score reasons {{ code weight }} product {{ {PRODUCT} }} }}"
ORDERS = ("NEWEST", "PRICE_ASC", "PRICE_DESC", "NAME", "POPULARITY", "RELEVANCE")


def time_id() -> str:
    """A UUIDv7 of now."""
    milliseconds = int(time.time() * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | secrets.randbits(62)))


@dataclass(slots=True)
class Catalogue:
    """What the operations refer to."""

    products: list[str]
    category: str
    brand: str
    tag: str
    words: str


class Tour:
    """All operations with one token. `told` is called with the name of the operation that comes next."""

    def __init__(self, ask: Ask, token: str, told: Callable[[str], None]) -> None:
        self._ask = ask
        self._token = token
        self._told = told

    async def _do(self, name: str, document: str, **variables: Any) -> dict[str, Any]:
        self._told(name)
        return await self._ask(document, variables, self._token)

    async def _write(self, name: str, kind: str, payload: str, given: dict[str, Any]) -> dict[str, Any]:
        """A mutation that must have its effect; `kind` is its input's type, empty where it takes none."""
        call = f"mutation ($input: {kind}!) {{ {name}(input: $input)" if kind else f"mutation {{ {name}"
        variables = {"input": given} if kind else {}
        answer = (await self._do(name, f"{call} {{ {payload} userErrors {{ code message }} }} }}", **variables))[name]
        assert not answer["userErrors"], (name, answer)
        found: dict[str, Any] = answer
        return found

    async def catalogue(self) -> Catalogue:
        """Everything that is public."""
        ask = self._do
        for order in ORDERS:
            document = f"query ($after: String) {{ products(first: 20, after: $after, orderBy: {order}"
            document += ', search: "walnut"' if order == "RELEVANCE" else ""
            document += f") {{ {PAGE.replace('totalCount', '')} }} }}"
            page = await ask(f"products {order}", document, after=None)
            cursor = page["products"]["pageInfo"]["endCursor"]
            await ask(f"products {order} after", document, after=cursor)
        nodes = page["products"]["nodes"]
        await ask("products last", f"{{ products(last: 20) {{ nodes {{ {PRODUCT} }} }} }}")
        await ask("products totalCount", "{ products(first: 1) { totalCount } }")
        document = "query ($id: ID!) { product(id: $id) { id tags category { slug } brand { slug } } }"
        product = (await ask("product", document, id=nodes[0]["id"]))["product"]
        known = Catalogue(
            products=[node["id"] for node in nodes],
            category=product["category"]["slug"],
            brand=(product["brand"] or {"slug": "none"})["slug"],
            tag=product["tags"][0],
            words="walnut deluxe",
        )
        for name, wanted in (
            ("category", {"categorySlug": known.category}),
            ("brand", {"brandSlugs": [known.brand]}),
            ("tags", {"tags": [known.tag]}),
            ("price", {"minPrice": "10", "maxPrice": "12", "inStock": True}),
            ("variants", {"collapseVariants": True}),
        ):
            document = f"query ($f: ProductFilter) {{ products(first: 20, filter: $f) {{ {PAGE} }} }}"
            await ask(f"products filter {name}", document, f=wanted)
            feed = f"query ($f: ProductFilter) {{ recommendations(first: 20, filter: $f) {{ {FEED} }} }}"
            await ask(f"recommendations filter {name}", feed, f=wanted)
        without = f"query ($x: [ID!]) {{ recommendations(first: 20, excludeIds: $x) {{ {FEED} }} }}"
        await ask("recommendations without", without, x=known.products)
        for search in (known.words, "wallnut", "cobalt"):
            document = f"query ($s: String) {{ products(first: 20, search: $s, orderBy: RELEVANCE) {{ {PAGE} }} }}"
            await ask(f"products search {search}", document, s=search)
        # Of a list that a filter narrows: of the whole catalogue, facets look at all of it.
        facets = "categories { count category { name } } tags { count tag } priceBands { count }"
        document = f"query ($f: ProductFilter) {{ productFacets(filter: $f) {{ {facets} }} }}"
        await ask("facets", document, f={"brandSlugs": [known.brand]})
        await ask("facets of a search", f'{{ productFacets(search: "cobalt") {{ {facets} brands {{ count }} }} }}')
        suggested = "products { id } brands { id } categories { id } tags"
        await ask("suggestions", f'{{ suggest(prefix: "wal") {{ {suggested} }} }}')
        await ask("categories", "{ categories { id name children { name } } }")
        nested = f"{{ categories {{ products(first: 3) {{ nodes {{ {PRODUCT} }} }} }} }}"
        await ask("categories products", nested)
        await ask("brands", "{ brands(first: 20) { totalCount nodes { id name } } }")
        await ask("brands search", '{ brands(first: 20, search: "a") { nodes { id name } } }')
        await ask("retailers", "{ retailers { id name } }")
        await ask("quiz", "{ quiz { version questions { id options { value } } } }")
        await ask("node", "query ($id: ID!) { node(id: $id) { id } }", id=known.products[0])
        await ask("nodes", "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=known.products)
        prices = "offers { price { amount } retailer { name } } priceHistory { price { amount } retailer { name } }"
        await ask("prices", f"query ($id: ID!) {{ product(id: $id) {{ {prices} }} }}", id=known.products[0])
        similar = f"similar(first: 5) {{ id score product {{ {PRODUCT} }} }}"
        await ask("similar", f"query ($id: ID!) {{ product(id: $id) {{ {similar} }} }}", id=known.products[0])
        gifts = (
            f"query ($i: GiftFinderInput!, $a: String) {{ giftFinder(input: $i, first: 20, after: $a) {{ {FEED} }} }}"
        )
        wishes = {"traits": ["CREATIVE", "SOCIAL"], "occasion": "birthday", "relationship": "friend", "age": 30}
        for more in (
            {},
            {"maxPrice": "20"},
            {"categorySlugs": [known.category]},
            {"avoidCategorySlugs": [known.category]},
        ):
            page = await ask(f"giftFinder {' '.join(more)}", gifts, i={**wishes, **more}, a=None)
        await ask("giftFinder after", gifts, i={**wishes, **more}, a=page["giftFinder"]["pageInfo"]["endCursor"])
        return known

    async def feed(self) -> list[dict[str, Any]]:
        """The caller's recommendations, two pages of them."""
        document = f"query ($a: String) {{ recommendations(first: 20, after: $a) {{ {FEED} }} }}"
        page = (await self._do("recommendations", document, a=None))["recommendations"]
        if page["pageInfo"]["endCursor"]:
            await self._do("recommendations after", document, a=page["pageInfo"]["endCursor"])
        nodes: list[dict[str, Any]] = page["nodes"]
        return nodes

    async def person(self, known: Catalogue) -> None:
        """What somebody with a token reads and writes of their own."""
        ask, write = self._do, self._write
        shown = await self.feed()
        ids = [node["id"] for node in shown]
        products = [node["product"]["id"] for node in shown]
        await ask("me", "{ me { id email displayName statedPreferences preferences { totalSwipes confidence } } }")
        await ask(
            "me personality", "{ me { personality { primaryType history(first: 5) { totalCount nodes { id } } } } }"
        )
        for name, fields in (
            ("swipes", f"id direction product {{ {PRODUCT} }}"),
            ("affiliateClicks", f"id product {{ {PRODUCT} }}"),
            ("giftLinks", "id url clicks product { id }"),
            ("dismissedReasons", "id kind label product { id }"),
            ("sessions", "id isCurrent"),
        ):
            document = (
                f"query ($a: String) {{ me {{ {name}(first: 20, after: $a) {{ totalCount pageInfo {{ endCursor }} "
            )
            document += f"nodes {{ {fields} }} }} }} }}"
            page = (await ask(f"me {name}", document, a=None))["me"][name]
            if page["pageInfo"]["endCursor"]:
                await ask(f"me {name} after", document, a=page["pageInfo"]["endCursor"])
        await ask("me consents", "{ me { consents { purpose granted decidedAt } secondFactors { id isVerified } } }")
        await ask("me analytics", "{ me { analytics { swipes views affiliateClicks } } }")
        since = '{ me { analytics(since: "2026-01-01T00:00:00Z") { swipes likes views sessions } } }'
        await ask("me analytics since", since)
        await ask("node recommendation", "query ($id: ID!) { node(id: $id) { id } }", id=ids[0])

        def swipe(position: int, way: str) -> dict[str, Any]:
            return {
                "productId": products[position],
                "direction": way,
                "clientSwipeId": secrets.token_hex(8),
                "recommendationId": ids[position],
            }

        await write("updateProfile", "UpdateProfileInput", "profile { id }", {"statedPreferences": {"likes": ["tea"]}})
        quiz = (await ask("quiz", "{ quiz { version questions { id } } }"))["quiz"]
        answers = [{"questionId": q["id"], "value": 1 + secrets.randbelow(5)} for q in quiz["questions"]]
        submitted = {"version": quiz["version"], "answers": answers}
        document = "query ($v: String!, $a: [QuizAnswer!]!) { nextQuestion(version: $v, answers: $a) { id } }"
        await ask("nextQuestion", document, v=quiz["version"], a=answers[:5])
        await write(
            "saveQuizAnswers", "SaveQuizAnswersInput", "progress { updatedAt }", submitted | {"answers": answers[:5]}
        )
        await write("submitQuiz", "SubmitQuizInput", "personality { primaryType }", submitted)
        made = await write("recordSwipe", "SwipeInput", "swipe { id } preferences { totalSwipes }", swipe(0, "RIGHT"))
        await write("undoSwipe", "UndoSwipeInput", "preferences { totalSwipes }", {"swipeId": made["swipe"]["id"]})
        several = {"swipes": [swipe(1, "UP"), swipe(2, "LEFT"), swipe(3, "DOWN")]}
        await write("recordSwipes", "RecordSwipesInput", "results { swipe { id } }", several)
        feedback = {"recommendationId": ids[4], "kind": "NOT_INTERESTED", "rating": 2}
        kind = "RecommendationFeedbackInput"
        await write("sendRecommendationFeedback", kind, "recommendation { id }", feedback)
        source = {"source": {"kind": "PRODUCT", "key": products[6]}}
        made = await write("dismissReason", "DismissReasonInput", "dismissedReason { id }", source)
        restored = {"id": made["dismissedReason"]["id"]}
        await write("restoreReason", "RestoreReasonInput", "dismissedReason { restoredAt }", restored)
        gift = {"productId": products[5], "recipientName": "Ada", "idempotencyKey": secrets.token_hex(8)}
        made = await write("createGiftLink", "GiftLinkInput", "giftLink { id url }", gift)
        click = {"productId": products[5], "recommendationId": ids[5], "idempotencyKey": secrets.token_hex(8)}
        await write("createAffiliateClick", "AffiliateClickInput", "click { id redirectUrl }", click)
        followed = {"productId": products[5], "giftLinkToken": made["giftLink"]["url"].rsplit("/", 1)[1]}
        await write("createAffiliateClick", "AffiliateClickInput", "click { id }", followed)
        await write(
            "revokeGiftLink", "RevokeGiftLinkInput", "giftLink { revokedAt }", {"giftLinkId": made["giftLink"]["id"]}
        )
        views = {"views": [{"id": time_id(), "productId": product} for product in known.products]}
        await write("recordProductViews", "RecordProductViewsInput", "recorded", views)
        now = datetime.now(UTC).isoformat()
        seen = [{"id": time_id(), "recommendationId": id, "position": 1, "shownAt": now} for id in ids]
        await write("recordImpressions", "RecordImpressionsInput", "recorded", {"impressions": seen})
        await ask("experiment", "query ($k: String!) { experiment(key: $k) { key arm } }", k="plans")
        document = "mutation ($i: RecordExposureInput!) { recordExposure(input: $i) { assignment { arm } } }"
        await ask("recordExposure", document, i={"key": "plans"})
        events = [{"id": time_id(), "name": name, "properties": {"of": "plans"}} for name in ("opened", "closed")]
        await write("recordEvents", "RecordEventsInput", "recorded", {"events": events})
        await self.decide(granted=True)
        await self.feed()

    async def export(self) -> None:
        """What an account with a recent sign-in takes along; the document is read as a download is."""
        await self._write("exportMyData", "", "url document", {})

    async def decide(self, *, granted: bool) -> None:
        """Grants or withdraws all consents, which rebuilds or deletes what was derived from swipes."""
        purposes = ("PERSONALISATION", "ANALYTICS", "MARKETING")
        decisions = [{"purpose": purpose, "granted": granted} for purpose in purposes]
        given = {"consents": decisions, "policyVersion": "plans"}
        payload = "profile { consents { granted } preferences { totalSwipes } }"
        await self._write("updateConsents", "UpdateConsentsInput", payload, given)

    async def _offers(self, product: str, other: str, retailer: str) -> None:
        """Offers by hand, and a merge that is taken back."""
        new = {
            "productId": other, "retailerSlug": retailer, "externalId": secrets.token_hex(8), "price": "9.50",
            "url": "https://shop.example/plan",
        }  # fmt: skip
        create = "mutation ($i: ProductOfferInput!) { createOffer(input: $i) { offer { id } userErrors { message } } }"
        offer = (await self._do("createOffer", create, i=new))["createOffer"]["offer"]["id"]
        update = "mutation ($i: UpdateProductOfferInput!) { updateOffer(input: $i) { userErrors { message } } }"
        await self._do("updateOffer", update, i={"id": offer, "price": "9.00", "isActive": False})
        merge = "mutation ($i: MergeProductsInput!) { mergeProducts(input: $i) { userErrors { message } } }"
        await self._do("mergeProducts", merge, i={"productId": product, "intoId": other})
        split = "mutation ($i: SplitProductInput!) { splitProduct(input: $i) { userErrors { message } } }"
        await self._do("splitProduct", split, i={"productId": product})

    async def _networks(self) -> None:
        rules = [{"parameter": "sub"}, {"parameter": "sid", "path": "/c/*"}]
        new = {"code": f"plan-{secrets.token_hex(4)}", "name": "Plan", "trackingHosts": ["go.plan.example"]}
        create = "mutation ($i: AffiliateNetworkInput!) { createNetwork(input: $i) { userErrors { message } } }"
        await self._do("createNetwork", create, i={**new, "rules": rules})
        update = "mutation ($i: UpdateAffiliateNetworkInput!) { updateNetwork(input: $i) { userErrors { message } } }"
        await self._do("updateNetwork", update, i={"code": new["code"], "name": "Plans", "rules": rules[:1]})
        fields = "{ code name trackingHosts rules { parameter place } }"
        await self._do("affiliateNetworks", f"{{ affiliateNetworks {fields} }}")
        one = f"query ($c: String!) {{ affiliateNetwork(code: $c) {fields} }}"
        await self._do("affiliateNetwork", one, c=new["code"])

    async def administrator(self, known: Catalogue) -> None:
        """Writing the catalogue."""
        retailer = (await self._do("retailers", "{ retailers { slug } }"))["retailers"][0]["slug"]
        create = "mutation ($i: ProductInput!) { createProduct(input: $i) { product { id } userErrors { message } } }"
        new = {
            "name": "Plan of a walnut box", "price": "12.50", "categorySlug": known.category, "retailerSlug": retailer,
            "externalId": secrets.token_hex(8), "url": "https://shop.example/plan",
        }  # fmt: skip
        made = (await self._do("createProduct", create, i=new))["createProduct"]
        update = "mutation ($i: UpdateProductInput!) { updateProduct(input: $i) { userErrors { message } } }"
        changes = {"id": made["product"]["id"], "price": "13.50", "isActive": False}
        await self._do("updateProduct", update, i=changes)
        for noun, creation, change in (
            ("Brand", "createBrand", "updateBrand"),
            ("Category", "createCategory", "updateCategory"),
            ("Retailer", "createRetailer", "updateRetailer"),
        ):
            given: dict[str, Any] = {"name": f"Plan {secrets.token_hex(4)}"}
            for name, kind in ((creation, f"{noun}Input"), (change, f"Update{noun}Input")):
                payload = f"{noun.lower()} {{ id }} userErrors {{ message }}"
                document = f"mutation ($i: {kind}!) {{ {name}(input: $i) {{ {payload} }} }}"
                written = (await self._do(name, document, i=given))[name][noun.lower()]
                given = {"id": written["id"], "isActive": False}
        await self._offers(made["product"]["id"], known.products[0], retailer)
        await self._networks()
        someone = {"email": "nobody@plans.invalid", "role": "analyst"}
        for name, kind in (("grantRole", "GrantRoleInput"), ("revokeRole", "RevokeRoleInput")):
            document = f"mutation ($i: {kind}!) {{ {name}(input: $i) {{ role userErrors {{ code }} }} }}"
            await self._do(name, document, i=someone)
        since = "2026-01-01T00:00:00Z"
        for name, only in (
            ("", {}),
            ("kind", {"kind": "NOT_INTERESTED"}),
            ("product", {"productId": known.products[0]}),
        ):
            document = (
                "query ($f: RecommendationFeedbackFilter, $a: String) { recommendationFeedback(first: 20, after: $a, "
                "filter: $f) { pageInfo { endCursor } nodes { kind reason rating comment product { id } } } }"
            )
            page = (await self._do(f"recommendationFeedback {name}", document, f=only, a=None))[
                "recommendationFeedback"
            ]
            if page["pageInfo"]["endCursor"]:
                await self._do("recommendationFeedback after", document, f=only, a=page["pageInfo"]["endCursor"])
        await self._do("eventCounts", f'{{ eventCounts(since: "{since}") {{ name events people }} }}')
        counts = "context impressions people swiped liked clicked bought"
        await self._do("impressionCounts", f'{{ impressionCounts(since: "{since}") {{ {counts} }} }}')
        today = datetime.now(UTC).date()
        days = f'range: {{firstDay: "{today - timedelta(days=90)}", lastDay: "{today}"}}'
        for by in ("SOURCE, DAY", "DEVICE, RETAILER"):
            await self._do(f"funnel {by}", f"{{ funnel({days}, by: [{by}]) {{ source click {{ events }} }} }}")
            await self._do(f"revenue {by}", f"{{ revenue({days}, by: [{by}]) {{ source clicks orders }} }}")
        await self._do(
            "recommendationPerformance",
            f"{{ recommendationPerformance({days}, by: [MODEL]) {{ model shown {{ events }} }} }}",
        )
        whose = (await self._do("me", "{ me { id } }"))["me"]["id"]
        for name, wanted in (
            ("", {}),
            ("tableName", {"tableName": "public.products"}),
            ("subjectId", {"subjectId": whose}),
            ("since", {"since": since}),
        ):
            document = "query ($f: AuditLogFilter, $a: String) { auditLog(first: 20, after: $a, filter: $f) "
            document += "{ pageInfo { endCursor } nodes { id operation tableName actorId } } }"
            page = (await self._do(f"auditLog {name}", document, f=wanted, a=None))["auditLog"]
            await self._do(f"auditLog {name} after", document, f=wanted, a=page["pageInfo"]["endCursor"])
        await money(self._do)
        await self._do("importRuns", "{ importRuns(first: 20) { nodes { number outcome startedBy counts } } }")
        for wanted in ("", ", level: ERROR", ', component: "housekeeping"'):
            nodes = "nodes { id level message context }"
            await self._do(f"systemLogs{wanted}", f"{{ systemLogs(first: 20{wanted}) {{ {nodes} }} }}")
