"""Every root field x every caller, through GraphQL: what is answered, whose canaries the answer holds, whose rows have
changed. The lines are in operations.py."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from domain import ids
from schema.node import NODES
from tests.bases import Base, ensure_template, to_database
from tests.conftest import Shop
from tests.security.canaries import PEOPLE, PERSONAL, ROWS, canary_id, insert, person_id
from tests.security.forging import signed
from tests.security.operations import (
    CALLERS,
    MONEY_TYPES,
    MUTATIONS,
    PROFILE_IS_SILENT,
    PROFILE_TELLS,
    PUBLIC_TYPES,
    QUERIES,
    SCHEMA,
    Line,
    World,
    document,
    fields_of,
    selection,
)

PERSON_OF = {"visitor": "visitor", "anna": "anna", "ben": "ben", "analyst": "ben", "admin": "carol", "finance": "ben"}
CLAIMS: dict[str, dict[str, Any]] = {
    "visitor": {"role": "anon", "is_anonymous": True},
    "analyst": {"app_metadata": {"role": "analyst"}},
    "admin": {"app_metadata": {"role": "admin"}},
    "finance": {"app_metadata": {"role": "finance"}},
    "service": {"role": "service_role"},
}
TYPES = {  # GraphQL type: the table of people that its rows come from
    name: table
    for name, cls in NODES.items()
    if hasattr(cls, "ROW") and (table := cls.ROW.table.removeprefix("public.")) in PERSONAL
} | {"Preferences": "profiles"}  # a view, whose id is the person's
ADMINISTRATORS = {"AuditEntry": "audit_log", "SystemLog": "system_logs", "ImportRun": "import_runs"}
MONEY = {
    "Conversion": "conversions", "ConversionReport": "conversion_reports", "LedgerEntry": "ledger_entries",
    "Payment": "payments", "LedgerException": "exceptions", "LedgerDecision": "ledger_decisions",
    "ConversionFlag": "conversion_flags",
}  # fmt: skip


def key_in(table: str, person: str) -> Any:
    return person_id(person) if table == "profiles" else canary_id(table, person)


def canaries_of(person: str) -> set[str]:
    """Whatever would tell that a row of this person was read."""
    keys = {key_in(table, person) for table in PERSONAL}
    named = {ids.encode(name, key_in(table, person)) for name, table in TYPES.items()}
    return {f"canary-{person}", *map(str, keys), *(key.hex for key in keys), *named}


def found_in(text: str) -> set[str]:
    """The people of whom this text has a canary."""
    return {person for person in PEOPLE if any(canary in text for canary in canaries_of(person))}


@dataclass
class Stage:
    """A shop in which everybody has a canary in every table."""

    shop: Shop
    world: World

    def token(self, caller: str) -> str | None:
        if caller == "nobody":
            return None
        person = PERSON_OF.get(caller)
        if person is None:
            return self.shop.token(uuid4(), **CLAIMS[caller])
        session = canary_id("user_sessions", person)
        return self.shop.token(person_id(person), session_id=session, **CLAIMS.get(caller, {}))

    async def answer(self, caller: str, kind: str, name: str, line: Line) -> tuple[str, str]:
        """One word for what was answered (see Line), and the answer."""
        arguments = line.arguments(self.world)
        response = await self.shop.client(self.token(caller)).post(document(kind, name, arguments), **arguments)
        body = response.json()
        if "errors" in body:
            return body["errors"][0]["extensions"]["code"], response.text
        value = body["data"][name]
        if value is None:
            return "null", response.text
        if isinstance(value, dict) and value.get("userErrors"):
            return value["userErrors"][0]["code"], response.text
        people = found_in(response.text)
        if not people:
            return "ok", response.text
        if people == set(PEOPLE):
            return "all", response.text
        if people == {PERSON_OF.get(caller)}:
            return ("hers" if line.answer_to(caller) == "hers" else "own"), response.text
        return "hers" if people == {"anna"} else f"canaries of {sorted(people)}", response.text

    async def rows(self) -> dict[str, str]:
        """A digest of all that each person has."""
        tables = " union all ".join(
            f"select {column}, '{table}' || coalesce(to_jsonb(t)::text, '') from public.{table} t"
            for table, column in PERSONAL.items()
        )
        digests = await self.shop.owner.fetch(
            f"select person, md5(string_agg(row, ';' order by row)) from ({tables}) all_rows (person, row) group by 1"
        )
        names = {person_id(person): person for person in PEOPLE}
        return {names.get(row[0], "a stranger"): row[1] for row in digests}


async def plant_log_ins(dsn: str) -> None:
    """A log-in for everybody, with a second factor that was never verified. The visitor's is an anonymous sign-in."""
    superuser = await asyncpg.connect(dsn)
    for person in PEOPLE:
        await superuser.execute(
            "insert into auth.users (id, email, is_anonymous, raw_app_meta_data) values ($1, $2, $3, $4::jsonb)",
            person_id(person),
            f"canary-{person}@canary.example",
            person == "visitor",
            '{"role": "admin"}' if PERSON_OF["admin"] == person else "{}",
        )
        await superuser.execute(
            "insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at)"
            " values ($1, $2, $3, 'totp', 'unverified', now(), now())",
            canary_id("mfa_factors", person),
            person_id(person),
            f"canary-{person}",
        )
    await superuser.close()


@pytest.fixture
async def database_template(base: Base, database_template: str, request: pytest.FixtureRequest) -> str:
    """With canaries and log-ins, if the test uses `stage`."""
    if "stage" not in request.fixturenames:
        return database_template
    name = f"{database_template}_staged"

    async def fill(owner: asyncpg.Connection[Any]) -> None:
        for table in ("products", "experiments", "experiment_arms", "system_logs"):
            await owner.execute(insert(table, "shop", with_owner=True, planted=True))
        for table in ROWS:
            if table in PERSONAL:
                for person in PEOPLE:
                    await owner.execute(insert(table, person, with_owner=True, planted=True))
        await plant_log_ins(to_database(str(base.dsns.superuser), name))

    return await ensure_template(base, name, database_template, fill)


@pytest.fixture
async def stage(shop: Shop) -> Stage:
    anna = shop.client(shop.token(person_id("anna")))
    quiz = (await anna.ask("{ quiz { version questions { id } } }"))["quiz"]
    view = await shop.owner.fetchval("select private.uuid_v7()")
    hers = {name: ids.encode(name, key_in(table, "anna")) for name, table in TYPES.items()}
    world = World(
        hers={**hers, "SecondFactor": ids.encode("SecondFactor", canary_id("mfa_factors", "anna"))},
        product=(await anna.product("Tools 3"))["id"],
        quiz={
            "version": quiz["version"],
            "answers": [{"questionId": question["id"], "value": 4} for question in quiz["questions"]],
        },
        feed_id=(await anna.feed(first=1))["nodes"][0]["id"],
        view_id=str(view),
        token=shop.token(person_id("anna")),
    )
    return Stage(shop, world)


def test_every_field_has_a_line() -> None:
    assert set(QUERIES) == set(fields_of("Query"))
    assert set(MUTATIONS) == set(fields_of("Mutation"))
    assert set(fields_of("Profile")) == PROFILE_TELLS | PROFILE_IS_SILENT
    assert {name for name, cls in NODES.items() if hasattr(cls, "ROW")} == {
        *TYPES, *ADMINISTRATORS, *MONEY, *PUBLIC_TYPES,
    }  # fmt: skip
    assert MONEY.keys() == MONEY_TYPES


@pytest.mark.parametrize("caller", CALLERS)
async def test_queries_answer_what_the_matrix_says(stage: Stage, caller: str) -> None:
    found = {name: (await stage.answer(caller, "query", name, line))[0] for name, line in QUERIES.items()}
    assert found == {name: line.answer_to(caller) for name, line in QUERIES.items()}


@pytest.mark.parametrize("caller", CALLERS)
async def test_mutations_answer_what_the_matrix_says_and_change_no_rows_of_others(stage: Stage, caller: str) -> None:
    me = PERSON_OF.get(caller, "a stranger")
    found, changed = {}, {}
    for name, line in MUTATIONS.items():
        before = await stage.rows()
        found[name], text = await stage.answer(caller, "mutation", name, line)
        after = await stage.rows()
        assert found_in(text) <= {me}, f"{name} told of others: {text}"
        changed[name] = {person for person in PEOPLE if before.get(person) != after.get(person)}
    ours = stage.shop.base.accounts_are_ours
    assert found == {name: line.answer_to(caller, accounts_are_ours=ours) for name, line in MUTATIONS.items()}
    assert {name: people for name, people in changed.items() if not people <= {me}} == {}
    if caller in PERSON_OF:  # the rows that changed are seen at all
        assert changed["recordSwipe"] == changed["updateProfile"] == {me}


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_field_of_a_profile_tells_of_its_own_person_alone(stage: Stage, caller: str) -> None:
    client = stage.shop.client(stage.token(caller))
    own = {PERSON_OF[caller]} if caller in PERSON_OF else set()
    for name, field in fields_of("Profile").items():
        text = (await client.post(f"{{ me {{ {name} {selection(field.type)} }} }}")).text
        assert '"errors"' not in text, text
        assert found_in(text) == (own if name in PROFILE_TELLS else set()), f"me.{name}: {text}"


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_type_leads_to_its_row_for_its_owner_alone(stage: Stage, caller: str) -> None:
    client = stage.shop.client(stage.token(caller))
    reached = {}
    for name in TYPES:
        response = await client.post(
            f"query ($id: ID!) {{ node(id: $id) {{ ... on {name} {selection(SCHEMA.get_type(name))} }} }}",
            id=stage.world.hers[name],
        )
        assert "errors" not in response.json(), response.text
        reached[name] = found_in(response.text)
    # Queries ask for the caller's own rows, whatever the database would show: service_role finds none but profiles.
    readable = set(TYPES) if caller == "anna" else {"Profile"} if caller == "service" else set()
    assert reached == {name: {"anna"} if name in readable else set() for name in TYPES}


@pytest.mark.parametrize("caller", CALLERS)
async def test_logs_are_read_by_administrators_alone(stage: Stage, caller: str) -> None:
    client = stage.shop.client(stage.token(caller))
    await stage.shop.owner.execute("insert into public.import_runs (started_by) values ('canary')")
    reached = {}
    for name, table in ADMINISTRATORS.items():
        id = ids.encode(name, await stage.shop.owner.fetchval(f"select id from public.{table} limit 1"))
        node = f"node(id: $id) {{ ... on {name} {selection(SCHEMA.get_type(name))} }}"
        for query in (node, "nodes(ids: [$id]) { id }"):
            response = await client.post(f"query ($id: ID!) {{ {query} }}", id=id)
            assert "errors" not in response.json(), response.text
            reached[query] = response.json()["data"] not in ({"node": None}, {"nodes": [None]})
    assert set(reached.values()) == {caller in ("admin", "service")}


@pytest.mark.parametrize("caller", CALLERS)
async def test_money_is_read_by_finance_and_administrators_and_conversions_by_analysts_too(
    stage: Stage, caller: str
) -> None:
    for table in (
        "payments", "conversion_reports", "conversions", "ledger_entries", "exceptions", "ledger_decisions",
        "conversion_flags",
    ):  # fmt: skip
        statement = insert(table, "shop", with_owner=True, planted=True)
        if table == "ledger_entries":
            statement += (
                ", (gen_random_uuid(), (select id from public.payments limit 1), 'receivable', -5, 'GBP', now())"
            )
            statement = statement.replace("gen_random_uuid()", f"'{uuid4()}'")
        await stage.shop.owner.execute(statement)
    client = stage.shop.client(stage.token(caller))
    reached = set()
    for name, table in MONEY.items():
        id = ids.encode(name, await stage.shop.owner.fetchval(f"select id from public.{table} limit 1"))
        for query in ("node(id: $id) { id }", "nodes(ids: [$id]) { id }"):
            found = (await client.ask(f"query ($id: ID!) {{ {query} }}", id=id)).popitem()[1]
            if found not in (None, [None]):
                reached.add(name)
    everything = set(MONEY) if caller in ("admin", "finance", "service") else set()
    assert reached == (everything or ({"Conversion"} if caller == "analyst" else set()))


def bad_tokens(stage: Stage) -> dict[str, str]:
    def claims(**changes: Any) -> dict[str, Any]:
        right = {"iss": "aclue", "aud": "authenticated", "sub": str(person_id("anna")), "role": "authenticated"}
        return {**right, "exp": int(time.time()) + 600, **changes}

    header = {"alg": "HS256", "typ": "JWT"}
    foreign = ("postgres", "authenticator", "supabase_admin", "dashboard_user", "aclue_api", "aclue_owner", "none")
    return {
        "expired": signed(header, claims(exp=int(time.time()) - 1)),
        "forged": signed(header, claims(), "a secret of the thief, long enough for HS256"),
        "raised": stage.token("anna").rpartition(".")[0] + "." + (stage.token("service") or "").rpartition(".")[2],  # type: ignore[union-attr]
        "malformed": "anna",
        "no person": signed(header, claims(sub="anna")),
        **{f"role {role}": signed(header, claims(role=role)) for role in foreign},
    }


async def test_bad_tokens_are_answered_nothing_whatever_they_ask(stage: Stage) -> None:
    before = await stage.rows()
    let_in = []
    for label, token in bad_tokens(stage).items():
        client = stage.shop.client(token)
        for kind, lines in (("query", QUERIES), ("mutation", MUTATIONS)):
            for name, line in lines.items():
                arguments = line.arguments(stage.world)
                response = await client.post(document(kind, name, arguments), **arguments)
                body = msgspec.json.decode(response.content)
                codes = [error["extensions"]["code"] for error in body.get("errors", [])]
                if (response.status_code, codes, "data" in body) != (401, ["UNAUTHENTICATED"], False):
                    let_in.append((label, name, response.text[:200]))
    assert let_in == []
    assert await stage.rows() == before
