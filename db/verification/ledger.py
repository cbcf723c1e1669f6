"""Checks that the ledger keeps its facts and balances."""

from __future__ import annotations

from db.claims import SERVICE
from db.verification.check import Check, query

FACTS = ["conversion_reports", "exchange_rates", "ledger_decisions", "ledger_entries", "payments"]

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
        "ledger.balances",
        "the postings of each transaction add up to 0 in each currency",
        "find the transactions whose postings do not, and who could switch the trigger off",
        query("verify_ledger.off_balance", role=SERVICE),
    ),
)
