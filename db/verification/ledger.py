"""Checks that the ledger keeps its facts and balances."""

from __future__ import annotations

import re

from db.claims import SERVICE
from db.migrations import SQL_FOLDER
from db.verification.check import Bench, Check, query

FACTS = ["conversion_reports", "exchange_rates", "ledger_decisions", "ledger_entries", "payments"]
GUARDS = ("refuse_change", "keep_report", "require_balance")
_FUNCTION = re.compile(r"^create or replace function private\.(\w+)\(\) returns trigger\b.*?\$\$(.*?)\$\$", re.S | re.M)


async def _changed_guards(bench: Bench) -> list[str]:
    bodies = dict(_FUNCTION.findall((SQL_FOLDER / "functions" / "ledger.sql").read_text()))
    wanted = [bodies[name] for name in GUARDS]
    rows = await bench.rows("verify_ledger.changed_functions", names=list(GUARDS), bodies=wanted)
    return [row["fault"] for row in rows]


CHECKS = (
    Check(
        "ledger.facts",
        "nobody can change, delete or empty reports, payments, rates, postings and decisions, not even the owner or "
        "replication",
        "alter table … enable always trigger …; if it is missing, delete the row of sql/functions/ledger.sql in "
        "private.applied_files, and run `aclue migrate`",
        query("verify_ledger.unguarded", tables=FACTS),
    ),
    Check(
        "ledger.guard",
        "unbalanced transactions are refused at commit",
        "as for ledger.facts",
        query("verify_ledger.without_guard"),
    ),
    Check(
        "ledger.functions",
        "what these triggers call refuses as sql/functions/ledger.sql says",
        "as for ledger.facts; find who changed the function, and when",
        _changed_guards,
    ),
    Check(
        "ledger.balances",
        "the postings of each transaction add up to 0 in each currency",
        "find the transactions whose postings do not, and who could switch the trigger off",
        query("verify_ledger.off_balance", role=SERVICE),
    ),
)
