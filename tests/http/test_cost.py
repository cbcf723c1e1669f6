"""What a request is judged to cost, beside what it is answered: never less, for every list of the schema, with compiled
plans and without."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_introspection_query,
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_required_input_field,
    parse,
)
from graphql.type.introspection import SchemaMetaFieldDef, TypeMetaFieldDef

from db.claims import SERVICE
from domain.personality import TRAITS
from resolvers.products import EDITABLE
from server import create_app
from services import conversion_flags, ledger_decisions
from tests.client import Client
from tests.conftest import SECRET, Shop
from tests.integration.test_ledger import pay
from tests.ledger import awin, report
from tests.security.operations import SCHEMA

META = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}
List = tuple[str, str]


def lists() -> set[List]:
    """Every list that the schema can answer with, by type and field."""
    return {
        (type_.name, name)
        for type_ in SCHEMA.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for name, field_ in type_.fields.items()
        if is_list_type(get_nullable_type(field_.type))
    }


@dataclass
class Answered:
    """What an answer holds, and the longest of each list that it has."""

    values: int = 0
    objects: int = 0
    lists: Counter[List] = field(default_factory=Counter)


def measure(document: str, data: Mapping[str, Any], operation: str | None = None) -> Answered:
    """An answer, read beside its document."""
    tree = parse(document)
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
    (root,) = (
        d
        for d in tree.definitions
        if isinstance(d, OperationDefinitionNode) and (operation is None or d.name.value == operation)
    )
    found = Answered()

    def fields(selections: Any, parent: GraphQLObjectType) -> dict[str, list[FieldNode]]:
        merged: dict[str, list[FieldNode]] = {}
        for node in selections.selections:
            if isinstance(node, FieldNode):
                merged.setdefault((node.alias or node.name).value, []).append(node)
                continue
            part = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            condition = part.type_condition.name.value if part.type_condition else parent.name
            type_ = SCHEMA.type_map[condition]
            if type_ is parent or (isinstance(type_, GraphQLInterfaceType) and type_ in parent.interfaces):
                for key, nodes in fields(part.selection_set, parent).items():
                    merged.setdefault(key, []).extend(nodes)
        return merged

    def of_object(value: Mapping[str, Any], nodes: Any, declared: Any) -> None:
        parent = SCHEMA.type_map[value["__typename"]] if "__typename" in value else declared
        for key, same in fields(_Merged(nodes), parent).items():
            if key in value:
                of_value(value[key], same, parent)

    def of_value(value: Any, nodes: list[FieldNode], parent: Any) -> None:
        name = nodes[0].name.value
        field_ = parent.fields.get(name) or META.get(name)
        if field_ is None:
            found.values += 1
            return
        items = [value]
        if is_list_type(get_nullable_type(field_.type)) and value is not None:
            items = value
            found.lists[parent.name, name] = max(found.lists[parent.name, name], len(value))
        found.values += len(items)
        named = get_named_type(field_.type)
        if is_leaf_type(named):
            return
        for item in items:
            if item is not None:
                found.objects += 1
                of_object(item, [n.selection_set for n in nodes], named)

    of_object(data, [root.selection_set], SCHEMA.get_root_type(root.operation))
    return found


@dataclass
class _Merged:
    sets: list[Any]

    @property
    def selections(self) -> list[Any]:
        return [node for each in self.sets for node in each.selections]


@dataclass
class Asked:
    answered: Answered
    cost: dict[str, int]


async def ask(client: Client, document: str, variables: Mapping[str, Any] | None = None) -> Asked:
    """Asks, and sees that no more came than was counted."""
    headers = {"x-aclue-cost": "1"} | ({"authorization": f"Bearer {client.token}"} if client.token else {})
    body = {"query": document, "variables": variables or {}}
    answer = (await client.http.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer, answer
    found = Asked(measure(document, answer["data"]), answer["extensions"]["cost"])
    assert found.answered.objects <= found.cost["objects"], document
    assert found.answered.values <= found.cost["requested"], document
    return found


@pytest.fixture(params=["plans", "no plans"])
async def http(shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    settings = msgspec.structs.replace(
        shop.services.settings, plans=request.param == "plans", max_cost=10**6, max_result_objects=10**6
    )
    app = create_app(settings, shop.dsns.api, SECRET, background=())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client,
    ):
        yield client


# As much of everything as the database takes, or as a list that is cut.
FULL = """
insert into public.import_runs (started_by) values ('anna'), ('ben');
insert into public.retailers (slug, name) select 'shop-' || n, 'Shop ' || n from generate_series(1, 150) n;
insert into public.categories (slug, name, parent_id)
  select 'kind-' || n, 'Kind ' || n, (select id from public.categories where slug = 'books')
  from generate_series(1, 150) n;
insert into public.products (name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url,
    is_active, merged_into, merged_at, merged_by)
  select p.name, 5000, 'GBP', p.category_id, r.id, 'merged', 'https://shop.example/', false, p.id, now(), 'gtin'
  from public.products p, public.retailers r where r.slug like 'shop-%' and p.name = 'Books 1';
update public.products set tags = (select array_agg('tag-' || n) from generate_series(1, 40) n);
insert into public.quiz_questions (version, code, position, trait, is_reversed)
  select '2.0', 'more-' || n, n, 'social', false from generate_series(1, 100) n
  where n not in (select position from public.quiz_questions where version = '2.0');
insert into public.quiz_texts (version, locale, code, text)
  select q.version, 'en', q.code, 'Well?' from public.quiz_questions q on conflict do nothing;
update public.quiz_versions set highest = 10 where version = '2.0';
insert into public.quiz_texts (version, locale, code, text)
  select '2.0', 'en', 'answer-' || n, 'More' from generate_series(6, 10) n;
update private.quiz_norms set
  item_means = (select jsonb_agg(3) from generate_series(1, 80)),
  item_covariance = (select jsonb_agg(line) from generate_series(1, 80) i cross join lateral (
    select jsonb_agg(case when i = j then 1 else 0 end) from generate_series(1, 80) j) l (line))
  where trait = 'social' and form = 'full';
update public.product_offers set edited = '{link,shipping,inactive}';
insert into public.affiliate_networks (code, name, tracking_hosts)
  select 'a-full-one', 'Full', array_agg('h' || n || '.example') from generate_series(1, 200) n;
insert into public.network_link_rules (
    network, position, place, parameter, destination, removes, max_length, characters)
  select 'a-full-one', n, 'query', 'p', array_fill('d'::text, '{10}'), array_fill('r'::text, '{10}'), 30, 'a-z0-9'
  from generate_series(1, 100) n;
insert into public.system_logs (level, component, message) select 'info', 'tests', 'x' from generate_series(1, 150);
"""
OF_A_PERSON = """
insert into public.analytics_events (user_id, id, event_name)
  select $1, private.uuid_v7(), 'event-' || n from generate_series(1, 600) n;
"""
SAID = """
update public.products set images = array['https://shop.example/1', 'https://shop.example/2'],
    options = '[{"name": "size", "value": "M"}]', item_group = 'books', external_id = 'cost-' || name,
    retailer_id = (select min(id::text)::uuid from public.retailers)
  where name like 'Books %' and merged_into is null;
insert into public.impressions (
    user_id, id, product_id, recommendation_context, model_version, arm, propensity, position, shown_at)
  select $1, private.uuid_v7(), id, 'discover', 1, 0, 1, 1, now() from public.products limit 3;
update public.products set tags = array(select 'style-' || right(name, 1) || '-' || n from generate_series(1, 40) n)
  where name in ('Camping 1', 'Camping 2');
with swiped as (
  insert into public.swipes (user_id, client_swipe_id, product_id, direction)
  select $1, 'said-' || id, id, 'right' from public.products where name in ('Camping 1', 'Camping 2')
  returning user_id, product_id, id, direction, preference_strength, created_at)
insert into public.product_signals (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
select * from swiped
on conflict (user_id, product_id) do nothing
"""
FACTORS = """
insert into auth.mfa_factors (user_id, friendly_name, factor_type, secret, status)
select $1, 'App ' || n, 'totp', 'x', 'verified' from generate_series(1, 12) n
"""
CONNECTION = "{ nodes { id } edges { node { id } } }"
MINE = f"""
{{ me {{
  consents {{ purpose }} secondFactors {{ id }}
  preferences {{ categories {{ slug }} brands {{ slug }} styles {{ slug }} }}
  personality {{
    secondaryTypes scores {{ trait score }} trend {{ trait }}
    history {{ nodes {{ secondaryTypes scores {{ trait }} combined {{ trait }} }} edges {{ cursor }} }}
  }}
  quizProgress {{ answers {{ value }} }}
  swipes(first: 30) {CONNECTION} affiliateClicks {CONNECTION} giftLinks {CONNECTION}
  dismissedReasons {CONNECTION} sessions {CONNECTION}
}} }}
"""
MATCH = "query ($id: ID!) { product(id: $id) { personalityMatch { terms { trait } } } }"
OFFERS = (
    "query ($id: ID!) { product(id: $id) { tags images options { name } variants { id }"
    " offers { editedFields retailer { name } priceHistory { validFrom } } priceHistory { validFrom }"
    " similar { score reasons { code } } category { children { slug } } } }"
)
CATALOGUE = [
    "{ categories { slug children { slug } } }",
    "{ categories(first: 1000) { slug } retailers(first: 3) { slug } }",
    "{ retailers { slug } }",
    f"{{ brands {CONNECTION} products(first: 100) {{ nodes {{ tags again: tags }} edges {{ cursor }} }} }}",
    "{ products(first: 100) { nodes { editedFields } } }",
    "{ productFacets { categories(first: 100) { count } brands { count } retailers { count } tags { tag } "
    "priceBands { count } } }",
    '{ suggest(prefix: "ca") { products { id } categories { id } } }',
    '{ suggest(prefix: "a") { brands { id } tags } }',
    "{ quiz { questions { id options { value label } } } }",
    "{ recommendations { nodes { reasons { code } explanation { code } } edges { cursor } } }",
    'query ($ids: [ID!]! = ["a", "b"]) { nodes(ids: $ids) { id } }',
]
FOR_ADMINISTRATORS = [
    "{ recommendationFeedback(first: 30) { nodes { kind } edges { node { kind } } } }",
    f"{{ auditLog(first: 50) {CONNECTION} systemLogs(first: 100) {CONNECTION} }}",
    "query ($since: DateTime!) { eventCounts(since: $since) { name events people } }",
    "query ($since: DateTime!) { impressionCounts(since: $since) { context } }",
    'query ($range: DayRange! = {firstDay: "2026-01-01", lastDay: "2026-01-01"}) { funnel(range: $range, by: [SOURCE]) '
    "{ day } revenue(range: $range, by: [SOURCE]) { day } "
    "recommendationPerformance(range: $range, by: [MODEL]) { day } }",
    f"{{ importRuns(first: 20) {CONNECTION} }}",
]
MONEY = f"""
{{
  conversions(first: 3) {{
    edges {{ cursor }}
    nodes {{
      reports(first: 2) {{ nodes {{ clickRefs }} edges {{ cursor }} }}
      entries(first: 2) {CONNECTION} exceptions(first: 2) {CONNECTION} decisions(first: 2) {CONNECTION}
      flags(first: 2) {CONNECTION}
      explanation {{ steps {{ reportIds }} movements {{ reportIds }} faults }}
    }}
  }}
  ledger(first: 3) {CONNECTION} exceptions(first: 3) {CONNECTION}
  conversionFlags(first: 3) {CONNECTION}
  payments(first: 3) {{ edges {{ cursor }} nodes {{ entries(first: 2) {CONNECTION} }} }}
  ledgerBalances {{ account }}
  reconciliation {{ currencies {{ pending }} by(first: 3) {{ pending }} overdue {{ amount }} }}
}}
"""
NETWORKS = "{ affiliateNetworks(first: 1) { trackingHosts rules { destination removes } } }"
SPLIT = """
mutation ($id: ID!) { splitProduct(input: {productId: $id}) { splitOff { id } userErrors { code } } }
"""
ROLLUPS = """
insert into private.rollups (report, grouping_name, day, keys, events, people, published)
select r.report, r.name, '2026-01-01', array[n::text], array_fill(9::bigint, array[10]), array_fill(9, array[10]),
  array_fill(9::bigint, array[10])
from (values ('funnel', 'source'), ('recommendations', 'model')) r (report, name), generate_series(1, 600) n
"""
OF_REFUSALS = {name for name in lists() if name[1] == "userErrors"} - {("SwipeResult", "userErrors")}
OF_REFUSALS.add(("UserError", "field"))
DESCRIBED = [
    get_introspection_query(specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True),
    *(
        f'{{ __type(name: "{name}") {{ fields {{ args {{ name }} type {{ fields {{ name }} enumValues {{ name }} }} }}'
        " inputFields { name } enumValues { name } interfaces { name } possibleTypes { name } } }"
        for name in ("Mutation", "Node", "Product", "ProductInput", "ProductOrder", "UserErrorCode")
    ),
]


def some(type_: Any) -> Any:
    """A value of an input type that hardly any mutation takes."""
    if isinstance(type_, GraphQLNonNull):
        return some(type_.of_type)
    if is_list_type(type_):
        return [some(type_.of_type)] * 30  # more than a list without a bound counts
    if isinstance(type_, GraphQLInputObjectType):
        return {name: some(f.type) for name, f in type_.fields.items() if is_required_input_field(f)}
    if is_enum_type(type_):
        return next(iter(type_.values))
    return {"Int": -1, "Boolean": False, "Decimal": "-1", "DateTime": "2020-01-01T00:00:00Z"}.get(type_.name, "x")


def refusals() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mutation, with input that is wrong where there is any."""
    assert SCHEMA.mutation_type
    for name, field_ in SCHEMA.mutation_type.fields.items():
        declared = ", ".join(f"${argument}: {given.type}" for argument, given in field_.args.items())
        passed = ", ".join(f"{argument}: ${argument}" for argument in field_.args)
        call = f"{name}({passed})" if passed else name
        document = f"mutation{f' ({declared})' if declared else ''} {{ {call} {{ userErrors {{ code field }} }} }}"
        yield document, {argument: some(given.type) for argument, given in field_.args.items()}


async def report_money(shop: Shop) -> None:
    """A sale that was declined and then approved, a payment that is for nothing, and an adjustment."""
    stated = {"click": uuid.uuid4(), "commission": "2.00"}
    late = awin("C1", "approved", validated="2026-07-25T00:00:00", **stated)
    await report(shop.services, awin("C1", "declined", **stated), late)
    await pay(shop, "9.00")
    await report(shop.services, awin("C2"))
    sale = await shop.owner.fetchval("select id from public.conversions where reference = 'C1'")
    async with shop.services.database.session(SERVICE, read_only=False) as session:
        await ledger_decisions.adjust(session, sale, Decimal(1), "agreed by phone")
        await conversion_flags.hold(session, sale, "asked by the shop")


@pytest.mark.usefixtures("own_accounts")
async def test_no_list_is_longer_than_it_was_counted(shop: Shop, http: httpx.AsyncClient) -> None:
    await shop.owner.execute(FULL)
    await shop.owner.execute(ROLLUPS)
    nobody, anna = Client(http), Client(http)
    anna.token = (await shop.account()).token
    me = uuid.UUID(await shop.owner.fetchval("select id::text from public.profiles where not is_anonymous"))
    admin = Client(http, shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))
    longest: Counter[List] = Counter()

    async def see(client: Client, document: str, variables: Mapping[str, Any] | None = None) -> None:
        for name, items in (await ask(client, document, variables)).answered.lists.items():
            longest[name] = max(longest[name], items)

    products = [product["id"] for product in await anna.products(first=30)]
    swipes = [{"productId": p, "direction": "UP", "clientSwipeId": p} for p in products]
    await see(
        anna,
        "mutation ($swipes: [SwipeInput!]!) { recordSwipes(input: {swipes: $swipes}) {"
        " results { swipe { id } userErrors { code } } userErrors { code } } }",
        {"swipes": [*swipes, {"productId": "x", "direction": "UP", "clientSwipeId": "x"}]},
    )
    quiz = (await anna.ask("{ quiz { version questions { id } } }"))["quiz"]
    answers = [{"questionId": question["id"], "value": 5} for question in quiz["questions"]]
    for name, kind, given in (
        ("submitQuiz", "SubmitQuizInput", {"version": quiz["version"], "answers": answers}),
        ("saveQuizAnswers", "SaveQuizAnswersInput", {"version": quiz["version"], "answers": answers}),
        ("createAffiliateClick", "AffiliateClickInput", {"productId": products[0]}),
        ("createGiftLink", "GiftLinkInput", {"productId": products[0]}),
        ("dismissReason", "DismissReasonInput", {"source": {"kind": "TRAIT", "key": "social"}}),
    ):
        await anna.do(
            f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}", input=given
        )
    shown = (await anna.feed(first=1))["nodes"][0]["id"]
    await anna.do(
        "mutation ($id: ID!) { sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL})"
        " { userErrors { code } } }",
        id=shown,
    )
    await shop.owner.execute(OF_A_PERSON.replace("$1", f"'{me}'"))
    await shop.owner.execute(SAID.replace("$1", f"'{me}'"))
    await shop.owner.execute(
        "update public.personality_profiles set secondary_types = $1, trend = ("
        """select jsonb_object_agg(t, '{"change": 1, "standard_error": 1}'::jsonb) from unnest($1::text[]) t)""",
        list(TRAITS),
    )
    await shop.owner.execute("update public.personality_assessment_history set secondary_types = $1", list(TRAITS))
    await shop.owner.execute(FACTORS, me)
    owner = Client(http, shop.token(me, aal="aal2"))
    await see(owner, "mutation { createRecoveryCodes { codes userErrors { code } } }")
    (found,) = [p for p in await nobody.products(first=100) if p["name"] == "Books 1"]
    await shop.owner.execute("update public.products set edited = $1 where name = 'Books 1'", list(EDITABLE))
    for document in CATALOGUE:
        await see(nobody, document)
    await see(anna, MINE)
    await see(anna, MATCH, {"id": found["id"]})
    await see(nobody, OFFERS, {"id": found["id"]})
    await report_money(shop)
    await see(admin, MONEY)
    for document in FOR_ADMINISTRATORS:
        await see(admin, document, {"since": (datetime.now(UTC) - timedelta(days=1)).isoformat()})
    await see(admin, NETWORKS)
    await see(admin, SPLIT, {"id": found["id"]})
    for document in DESCRIBED:
        await see(nobody, document)
    assert {name for name in lists() - OF_REFUSALS if longest[name] == 0} == set()
    for name, items in {
        ("Query", "eventCounts"): 500,
        ("Query", "categories"): 157,
        ("Query", "retailers"): 100,
        ("Category", "children"): 30,
        ("Product", "offers"): 10,
        ("AffiliateNetwork", "trackingHosts"): 200,
        ("AffiliateNetwork", "rules"): 100,
        ("SplitProductPayload", "splitOff"): 50,
        ("Product", "tags"): 40,
        ("Quiz", "questions"): 100,
        ("QuizQuestion", "options"): 10,
        ("Preferences", "styles"): 50,
        ("Profile", "secondFactors"): 10,
        ("PersonalityProfile", "secondaryTypes"): 5,
        ("PersonalityProfile", "trend"): 5,
        ("QuizProgress", "answers"): 100,
        ("CreateRecoveryCodesPayload", "codes"): 10,
        ("RecordSwipesPayload", "results"): 31,
    }.items():
        assert longest[name] == items, name


async def test_no_refusal_is_longer_than_it_was_counted(shop: Shop, http: httpx.AsyncClient) -> None:
    anna, ben = [Client(http, (await shop.account()).token) for _ in range(2)]
    admin = Client(http, shop.token(uuid.uuid4(), app_metadata={"role": "admin"}))
    longest: Counter[List] = Counter()
    for document, variables in refusals():
        caller = (
            ben
            if "signOut" in document
            else admin
            if re.search("(Products?|Offer|Network|Role|Brand|Category|Retailer|Conversion|Exception)Input", document)
            else anna
        )
        longest.update((await ask(caller, document, variables)).answered.lists)
    assert {name for name in OF_REFUSALS if name not in longest} == set()
    assert longest["UserError", "field"] > 0


SWIPES = "mutation%s { %s } fragment F on RecordSwipesPayload { results { ...R } } fragment R on SwipeResult { %s }"
RESULT = "swipe { direction strength product { name } } userErrors { code }"
CALL = "recordSwipes(input: %s) { ...F }"
SENT = 25


@pytest.mark.parametrize(
    ("declared", "given", "name"),
    [
        ("$input: RecordSwipesInput!", "$input", "input"),
        ("$swipes: [SwipeInput!]!", "{swipes: $swipes}", "swipes"),
        ("$one: SwipeInput!", f"{{swipes: [{', '.join(['$one'] * SENT)}]}}", "one"),
        ("$one: [SwipeInput!]!", "{swipes: $one}", "one"),
        ("$input: RecordSwipesInput = {swipes: [%s]}", "$input", None),
        ("", "{swipes: [%s]}", None),
    ],
    ids=["the input", "its list", "its items", "an item for a list", "a default", "in the document"],
)
@pytest.mark.parametrize("times", [1, 3], ids=["once", "by aliases"])
async def test_results_count_as_many_as_were_sent(
    shop: Shop, http: httpx.AsyncClient, declared: str, given: str, name: str | None, times: int
) -> None:
    anna = Client(http, (await shop.anonymous()).token)
    product = (await anna.products(first=1))[0]["id"]
    swipes = [{"productId": product, "direction": "UP", "clientSwipeId": str(n)} for n in range(SENT)]
    literal = ", ".join(f'{{productId: "{product}", direction: UP, clientSwipeId: "{n}"}}' for n in range(SENT))
    if name is None:
        declared, given = declared.replace("%s", literal), given.replace("%s", literal)
    call = CALL % given
    calls = " ".join(f"a{n}: {call}" for n in range(times))
    document = SWIPES % (f"({declared})" if declared else "", calls, RESULT)
    variables = {"input": {"swipes": swipes}, "swipes": swipes, "one": swipes[0]}
    found = await ask(anna, document, {name: variables[name]} if name else {})
    expected = times * (1 if given == "{swipes: $one}" else SENT)
    assert found.answered.objects == times + expected * 3
    assert found.cost["objects"] == times + expected * 4


async def test_lists_of_objects_of_a_query_are_counted_for_each_field(shop: Shop) -> None:
    document = "query ($a: [QuizAnswer!]!) {{ {} }}"
    fields = " ".join(f'q{number}: nextQuestion(version: "2.0", answers: $a) {{ id }}' for number in range(20))
    answers = [{"questionId": "adv-1", "value": 3}] * 100
    one = document.format('nextQuestion(version: "2.0", answers: $a) { id }')
    assert await shop.client().code(one, a=answers) == "BAD_USER_INPUT"  # the question is answered twice
    assert await shop.client().code(document.format(fields), a=answers) == "COST_LIMIT_EXCEEDED"
    assert await shop.client().code(one, a=answers * 20) == "COST_LIMIT_EXCEEDED"


async def test_results_without_their_input_count_as_the_most_that_may_be_sent(shop: Shop) -> None:
    """As a report on a document counts them."""
    document = "mutation ($input: RecordSwipesInput!) { recordSwipes(input: $input) { results { swipe { id } } } }"
    operation = shop.engine.document(document).operation(None)
    assert operation is not None
    assert operation.costs.count({}).objects == 1 + 100 * 2
    assert operation.costs.count({"input": {"swipes": [{}, {}]}}).objects == 1 + 2 * 2


async def test_what_a_directive_leaves_out_is_counted(shop: Shop, http: httpx.AsyncClient) -> None:
    document = "query ($x: Boolean!) { products(first: 3) { nodes { id tags @skip(if: $x) name @include(if: $x) } } }"
    for x in (True, False):
        assert (await ask(Client(http), document, {"x": x})).cost["requested"] == 1 + 3 * (1 + 1 + 40 + 1)


@pytest.mark.parametrize("form", ["variables", "document"])
async def test_a_mutation_costs_what_it_is_given_to_write(shop: Shop, http: httpx.AsyncClient, form: str) -> None:
    """10 for each item, 1 for each 100 bytes."""
    anna = Client(http, (await shop.anonymous()).token)

    async def cost(events: int, length: int) -> int:
        given = [{"id": str(uuid.uuid4()), "name": "x" * length} for _ in range(events)]
        if form == "variables":
            document = "mutation ($events: [EventInput!]!) { recordEvents(input: {events: $events}) { recorded } }"
            return (await ask(anna, document, {"events": given})).cost["requested"]
        written = ", ".join(f'{{id: "{event["id"]}", name: "{event["name"]}"}}' for event in given)
        document = f"mutation {{ recordEvents(input: {{events: [{written}]}}) {{ recorded }} }}"
        return (await ask(anna, document)).cost["requested"]

    one = await cost(1, 10)
    assert one == 2 + 10
    assert await cost(50, 10) == 2 + 50 * 10 + 50 * (36 + 6 + 10) // 100
    assert 190 <= await cost(10, 2000) - await cost(10, 10) <= 210


async def test_a_variable_given_to_several_fields_is_written_several_times(shop: Shop, http: httpx.AsyncClient) -> None:
    anna = Client(http, (await shop.anonymous()).token)
    event = [{"id": str(uuid.uuid4()), "name": "x" * 3000}]
    call = "recordEvents(input: {events: $events}) { recorded }"
    costs = [
        (await ask(anna, f"mutation ($events: [EventInput!]!) {{ {calls} }}", {"events": event})).cost["requested"]
        for calls in (f"a: {call}", f"a: {call} b: {call} ...F }} fragment F on Mutation {{ c: {call}")
    ]
    assert costs[1] == 3 * costs[0]


async def test_writes_that_cost_too_much_do_not_run(shop: Shop) -> None:
    anna = await shop.anonymous()
    event = [{"id": str(uuid.uuid4()), "name": "quiz_opened", "properties": {"x": "y" * 4000}} for _ in range(50)]
    call = "recordEvents(input: {events: $events}) { recorded }"
    calls = " ".join(f"a{n}: {call}" for n in range(20))
    assert await anna.code(f"mutation ($events: [EventInput!]!) {{ {calls} }}", events=event) == "COST_LIMIT_EXCEEDED"
    assert await shop.owner.fetchval("select count(*) from public.analytics_events") == 0
