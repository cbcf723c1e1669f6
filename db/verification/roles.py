"""Checks of roles, functions and views: who may switch to which role, and what runs with whose rights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from db.claims import Claims
from db.verification.check import API_ROLES, PEOPLE_ROLES, Bench, Check, Find, query
from db.verification.expected import DOCUMENT_FUNCTIONS

_MIGRATE = "run `aclue migrate`; where it says `up to date`, delete the row of the file in private.applied_files first"
_REVOKE = "revoke it, and see who granted it"


def functions(judge: Callable[[Any], bool]) -> Find:
    """The functions, rows of verify_security.functions, that fail `judge`."""

    async def find(bench: Bench) -> list[str]:
        rows = await bench.rows("verify_security.functions", schemas=bench.schemas)
        return [row["signature"] for row in rows if judge(row)]

    return find


async def _missing_functions(bench: Bench) -> list[str]:
    rows = await bench.rows("verify_security.functions", schemas=bench.schemas)
    found = {f"{row['schema']}.{row['name']}" for row in rows}
    of_documents = set(DOCUMENT_FUNCTIONS) - {row["name"] for row in rows}
    return [*(bench.expected.functions - found), *of_documents]


async def _wrong_callers(bench: Bench) -> list[str]:
    rows = await bench.rows("verify_security.functions", schemas=bench.schemas)
    found = {(role, f"{row['schema']}.{row['name']}") for row in rows for role in row["callers"]}
    expected = bench.expected.callers
    return [f"{role} may call {name}" for role, name in found - expected] + [
        f"{role} may not call {name}" for role, name in expected - found
    ]


async def _cannot_become(bench: Bench) -> list[str]:
    for role in API_ROLES:
        await bench.rows("health.ready", role=Claims(role=role))
    return []


CHECKS = (
    Check(
        "roles.login_powers",
        "the API's log-in has no special powers",
        "alter role … nosuperuser nobypassrls nocreaterole nocreatedb noreplication noinherit",
        query("verify_security.login_powers"),
    ),
    Check(
        "roles.login_property",
        "the API's log-in owns nothing",
        "DATABASE_URL must not be the owner: let it log in as a role of its own",
        query("verify_security.login_property"),
    ),
    Check(
        "roles.login_disguises",
        "the API's log-in may switch to no powerful role",
        "revoke that role from it",
        query("verify_security.login_disguises"),
    ),
    Check(
        "roles.login_can_serve",
        "the API's log-in may switch to anon, authenticated and service_role",
        "run `aclue migrate`, or grant anon, authenticated, service_role to it",
        _cannot_become,
    ),
    Check(
        "roles.powers",
        "anon, authenticated and service_role have no special powers",
        "alter role … nologin nosuperuser nobypassrls nocreaterole nocreatedb noreplication",
        lambda bench: query("verify_security.role_powers", is_ours="auth" in bench.schemas)(bench),
    ),
    Check(
        "roles.disguises",
        "none of them has the rights of another role",
        "revoke that role from it",
        query("verify_security.role_disguises"),
    ),
    Check("functions.there", "every function of the files and the documents exists", _MIGRATE, _missing_functions),
    Check(
        "functions.callers",
        "only the roles that the files name may call functions",
        _MIGRATE,
        _wrong_callers,
    ),
    Check(
        "functions.pinned",
        "functions with their owner's rights pin their search_path",
        "alter function … set search_path = pg_catalog, pg_temp",
        functions(lambda row: row["is_definer"] and not row["is_pinned"]),
    ),
    Check(
        "functions.private",
        "functions with their owner's rights are in a schema that no client reaches",
        "alter function … set schema private",
        functions(lambda row: row["is_definer"] and row["schema"] == "public"),
    ),
    Check(
        "functions.not_public",
        "public may call no function",
        "revoke execute on function … from public",
        functions(lambda row: row["is_public"]),
    ),
    Check(
        "views.invoker",
        "views run with the rights of the reader",
        "alter view … set (security_invoker = true)",
        query("verify_security.views_of_their_owner"),
    ),
    Check(
        "views.filtered",
        "nothing can be read past row level security: no materialised view, no foreign table",
        _REVOKE,
        query("verify_security.unfiltered_relations", roles=PEOPLE_ROLES),
    ),
)
