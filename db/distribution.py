"""Which tables a cluster such as Citus distributes by person, and which statements concern more than one person.

Every table with a person in each row is distributed by that person (`aclue verify --distributable` finds them in the
catalog), so that a request stays on one node. All other tables are reference tables, of which each node has a copy, or
stay on the coordinator. docs/scale.md says how.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from db.query_plans import nodes, plan_of

PROFILES = "public.profiles"

# Tables with a column for a person that are not distributed.
COORDINATOR: Mapping[str, str] = {
    "auth.mfa_factors": "accounts are found by their e-mail, and may be another service's",
    "public.audit_log": "most entries are about no person",
    "public.conversions": "money outlives people: their sales stay, without them",
}

# Foreign keys that Citus refuses, and that are dropped when the tables are distributed.
REPLACED_KEYS: Mapping[str, str] = {
    "affiliate_clicks_gift_link_fkey": "a click names the gift link of somebody else: private.use_gift_link()"
    " checks that it exists, private.delete_profile() empties it",
    "conversions_user_id_fkey": "private.delete_profile() empties it",
}

# Statements that are about more than one person, or find a person by a secret.
EVERYBODY: Mapping[str, str] = {
    "affiliate_clicks.exists": "anybody with a link may follow it: the click's id finds it",
    "exports.claim": "who fetches an export has its signed address: the id of the request in it, and the person",
    "exports.is_open": "likewise",
    "experiments.list": "a command of the owner counts all people of each experiment",
    "experiments.outcomes": "a command of the owner reports what all people of an experiment did",
    "experiments.running_units": "a job counts all people of each arm",
    "experiments.units": "a command of the owner counts all people of each arm",
    "gift_links.maker": "who has a link may use it: its id finds the maker, in whose name the click is",
    "gift_links.show": "who has a link may see its page: its id finds it",
    "idempotency_keys.purge": "a job forgets everybody's keys of the day before",
    "instruments.full_assessments": "a command of the owner makes norms of everybody's quizzes",
    "conversion_flags.around": "a job and imports flag sales of everybody: the click's id finds it",
    "conversion_flags.busy_hours": "a job and imports count everybody's hits of hours",
    "conversion_flags.sales": "a job and imports flag sales of everybody: the click's id finds it",
    "ledger.add_reports": "an import asks whether the click of a report was erased",
    "ledger.clicks_of": "an import derives conversions of everybody: the click's id finds it",
    "ledger.match_by_click": "likewise",
    "ledger_decisions.click": "finance names the click that a sale came from: its id finds it",
    "ledger_decisions.conversion": "finance decides about a sale: its id finds it, and its click by the click's",
    "ledger.match_by_time": "an import finds the click at a shop and a time",
    "personality.mark_everybody_due": "a command of the owner marks all personality profiles for a rebuild",
    "privacy.people": "a command of the owner compares everybody with the tombstones of a backup",
    "retests.first_and_last": "a command of the owner correlates the quizzes of all who took one twice",
    "session_merges.of_session": "who merges has a refresh token of the other session: the session's id finds it",
    "sessions.of_token": "who refreshes a session has no token: the session's id, which it was given, finds it",
}

# Commands of the owner, or of the superuser, over the whole database.
OWNERS = ("backups.", "seeds.", "demo.", "bulk.", "product_imports.", "verify_")

_JOINS = ("Hash Cond", "Merge Cond", "Join Filter")
_CONDITIONS = ("Index Cond", "Recheck Cond", "Filter")
_PARTITION = re.compile(r"_(default|\d{6})$")


def unbound(plan: Mapping[str, Any], people: Mapping[str, str]) -> list[str]:
    """The tables of people that a plan reads without naming the person: sorted, each once. `people`: the column of each
    table, without schema. A table joined by person is bound if another one of the plan is."""
    readers = []
    for node in nodes(plan):
        table = _PARTITION.sub("", node.get("Relation Name", ""))
        if table in people and node["Node Type"] != "ModifyTable":
            condition = " ".join(str(node[kind]) for kind in _CONDITIONS if kind in node)
            readers.append((table, node.get("Alias", table), condition))
    joined = " ".join(str(node[kind]) for node in nodes(plan) for kind in _JOINS if kind in node)
    is_anchored = any(re.search(rf"\b{people[table]} = (?!\w+\.)", condition) for table, _, condition in readers)
    return sorted(
        {
            table
            for table, alias, condition in readers
            if not re.search(rf"\b{people[table]} = ", condition)
            and not (is_anchored and re.search(rf"\b{alias}\.{people[table]}\b", joined))
        }
    )


async def of_everybody(
    connection: asyncpg.Connection[Any], statements: Iterable[tuple[str, str]], people: Mapping[str, str]
) -> dict[str, list[str]]:
    """{label: tables of people that it reads of more than one person}, of statements given as (label, SQL). Runs in the
    caller's transaction, whose settings it changes."""
    # The parameters are null here, by which no partition must be left out.
    await connection.execute("set local plan_cache_mode = force_generic_plan; set local enable_partition_pruning = off")
    found = {}
    for label, sql in statements:
        if tables := unbound(await plan_of(connection, sql), people):
            found[label] = tables
    return found
