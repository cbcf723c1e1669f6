"""Checks of row level security, policies and grants in the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from db.verification.check import API_ROLES, PEOPLE_ROLES, Bench, Check, Find, query
from db.verification.expected import Policy
from db.verification.init_plans import calls_per_row

SECRETS = [
    "user_sessions.refresh_token_hash",
    "user_sessions.branch_token_hashes",
    "user_sessions.rotated_token_hashes",
    "user_sessions.networks",
    "affiliate_clicks.commission_rate",
    "affiliate_clicks.expected_commission_minor",
    "affiliate_clicks.actual_commission_minor",
    "affiliate_clicks.commission_flat_minor",
    "affiliate_clicks.commission_cap_minor",
    "retailers.commission_rate",
]
UNWRITABLE = [
    *SECRETS,
    "affiliate_clicks.affiliate_url",
    "affiliate_clicks.price_minor",
    "product_signals.preference_strength",
    "products.popularity",
    "products.retailer_id",
    "profiles.email",
    "profiles.is_anonymous",
    "swipes.created_at",
    "user_sessions.expires_at",
    "user_sessions.revoked_at",
]
UNWRITABLE_AT_INSERT = [name for name in UNWRITABLE if name != "products.retailer_id"]
ROW_VERBS = {"select", "insert", "update", "delete"}
_MIGRATE = "run `aclue migrate`; where it says `up to date`, delete the row of the file in private.applied_files first"
_REVOKE = "revoke it, and see who granted it"


def policies(judge: Callable[[Any], str | None]) -> Find:
    """The faults that `judge` finds in each policy, a row of verify_security.policies."""

    async def find(bench: Bench) -> list[str]:
        rows = await bench.rows("verify_security.policies", schemas=bench.schemas)
        return [f"{row['name']} on {row['table']}{said}" for row in rows if (said := judge(row)) is not None]

    return find


def _conditions(policy: Any) -> list[str]:
    return [text for text in (policy["qual"], policy["with_check"]) if text is not None]


def _unnamed_role(policy: Any) -> str | None:
    return " is for everybody" if "public" in policy["roles"] else None


def _all_verbs(policy: Any) -> str | None:
    is_servers = set(policy["roles"]) in ({"service_role"}, {"job_worker"})
    return " is for all verbs" if policy["verb"] == "ALL" and not is_servers else None


def _unchecked(policy: Any) -> str | None:
    return None if policy["verb"] in ("SELECT", "DELETE") or policy["with_check"] else " checks no new row"


def _per_row(policy: Any) -> str | None:
    calls = [call for text in _conditions(policy) for call in calls_per_row(text)]
    return f" calls {calls[0]} for every row" if calls else None


def _everybodys(policy: Any) -> str | None:
    is_open = policy["is_permissive"] and policy["is_personal"] and "true" in _conditions(policy)
    return " lets everybody at everybody's rows" if is_open and set(policy["roles"]) != {"service_role"} else None


async def _missing_policies(bench: Bench) -> list[str]:
    rows = await bench.rows("verify_security.policies", schemas=bench.schemas)
    found = {
        (row["table"], row["name"]): Policy(row["verb"], frozenset(row["roles"]), row["is_permissive"]) for row in rows
    }
    return [
        f"{name} on {table} is {'another' if (table, name) in found else 'missing'}"
        for (table, name), policy in bench.expected.policies.items()
        if found.get((table, name)) != policy
    ]


async def _unknown_policies(bench: Bench) -> list[str]:
    rows = await bench.rows("verify_security.policies", schemas=bench.schemas)
    known = bench.expected.policies
    return [f"{row['name']} on {row['table']}" for row in rows if (row["table"], row["name"]) not in known]


def grants(select: Callable[[Any], bool]) -> Find:
    """The grants, rows of verify_security.grants, that `select` selects."""

    async def find(bench: Bench) -> list[str]:
        rows = await bench.rows("verify_security.grants", schemas=bench.schemas)
        return _described((row["role"], row["table"], row["verb"], row["column"]) for row in rows if select(row))

    return find


def _described(found: Iterable[tuple[str, str, str, str | None]]) -> list[str]:
    return [f"{role} may {verb} {table}{f'.{column}' if column else ''}" for role, table, verb, column in found]


async def _granted(bench: Bench) -> set[tuple[str, str, str, str | None]]:
    rows = await bench.rows("verify_security.grants", schemas=bench.schemas)
    return {(row["role"], row["table"], row["verb"], row["column"]) for row in rows}


async def _missing_grants(bench: Bench) -> list[str]:
    missing = bench.expected.grants - await _granted(bench)
    return [fault.replace(" may ", " may not ", 1) for fault in _described(missing)]


async def _unknown_grants(bench: Bench) -> list[str]:
    return _described(await _granted(bench) - bench.expected.grants)


CHECKS = (
    Check(
        "policies.row_level_security",
        "row level security is on for every table, partitions included",
        "alter table … enable row level security, at once",
        query("verify_security.row_security_off"),
    ),
    Check(
        "policies.every_table",
        "every table has a policy",
        "add it to sql/policies/",
        query("verify_security.without_policy"),
    ),
    Check("policies.there", "every policy of the files exists, for its verb and roles", _MIGRATE, _missing_policies),
    Check("policies.known", "there are no policies other than those of the files", "drop policy …", _unknown_policies),
    Check("policies.roles", "policies name their roles", "create policy … to …", policies(_unnamed_role)),
    Check(
        "policies.verbs",
        "only service_role and job_worker have policies for all verbs",
        "one policy per verb",
        policies(_all_verbs),
    ),
    Check("policies.new_rows", "policies that write check the new row", "with check (…)", policies(_unchecked)),
    Check(
        "policies.init_plans",
        "policies look up the caller once per statement, not once per row",
        "(select auth.uid())",
        policies(_per_row),
    ),
    Check(
        "policies.personal",
        "no policy opens a person's rows to everybody",
        "using (user_id = (select auth.uid()))",
        policies(_everybodys),
    ),
    Check(
        "grants.rows_only",
        "nobody has privileges that bypass row level security: truncate, references, trigger",
        _REVOKE,
        grants(lambda row: row["verb"] not in ROW_VERBS),
    ),
    Check("grants.public", "nothing is granted to public", _REVOKE, grants(lambda row: row["role"] == "public")),
    Check(
        "grants.by_column",
        "people write by column only",
        "grant insert (…), update (…)",
        grants(lambda row: row["role"] in PEOPLE_ROLES and row["verb"] in ("insert", "update") and not row["column"]),
    ),
    Check(
        "grants.owner_column",
        "nobody may set the owner of a row",
        "revoke insert (user_id), update (user_id)",
        query("verify_security.owner_column_writers", roles=PEOPLE_ROLES),
    ),
    Check(
        "grants.secrets",
        "people may not read token hashes and commissions",
        _REVOKE,
        query("verify_security.column_privileges", roles=PEOPLE_ROLES, columns=SECRETS, verbs=["SELECT"]),
    ),
    Check(
        "grants.values",
        "people may not change amounts, links and recorded times",
        _REVOKE,
        query("verify_security.column_privileges", roles=PEOPLE_ROLES, columns=UNWRITABLE, verbs=["UPDATE"]),
    ),
    Check(
        "grants.new_values",
        "people may not insert amounts, links and recorded times",
        _REVOKE,
        query("verify_security.column_privileges", roles=PEOPLE_ROLES, columns=UNWRITABLE_AT_INSERT, verbs=["INSERT"]),
    ),
    Check(
        "grants.partitions",
        "partitions are accessible only through their table",
        _REVOKE,
        grants(lambda row: row["is_partition"]),
    ),
    Check(
        "grants.private",
        "nobody has grants on private tables and log-ins",
        _REVOKE,
        grants(lambda row: not row["table"].startswith(("public.", "jobs."))),
    ),
    Check("grants.there", "every grant of the files exists", _MIGRATE, _missing_grants),
    Check("grants.known", "there are no grants other than those of the files", _REVOKE, _unknown_grants),
    Check(
        "grants.schemas_usable",
        "the roles may use the schemas",
        "grant usage on schema public, private to anon, authenticated, service_role",
        query("verify_security.schemas_closed", roles=API_ROLES),
    ),
    Check(
        "grants.nothing_new",
        "the roles may create nothing",
        "revoke create on schema … from …",
        query("verify_security.creators", roles=API_ROLES),
    ),
    Check(
        "grants.defaults",
        "new tables and functions are granted to nobody",
        "alter default privileges for role … revoke …",
        query("verify_security.open_defaults", roles=API_ROLES),
    ),
)
