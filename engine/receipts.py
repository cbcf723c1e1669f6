"""Receipts: what a request took, for developers and operators."""

from __future__ import annotations

import time
from typing import Any

from db.usage import USAGE, Usage
from engine.cost import Cost
from services.public_answers import Source


class Receipt:
    """Counts from its creation on, in the current task and those it starts."""

    def __init__(self) -> None:
        self._usage = Usage()
        self._started = time.perf_counter()
        USAGE.set(self._usage)

    def rendered(
        self,
        cost: Cost,
        role: str,
        path: str,
        reason: str | None,
        source: Source | None,
        *,
        is_known_document: bool,
    ) -> dict[str, Any]:
        """`extensions.receipt`. Times in milliseconds. `path` is plan, fallback, cache or refused; `reason` says why no
        plan answered; `source` is where an answer came from that is the same for every caller."""
        usage = self._usage
        total_ms, database_ms = (round(s * 1000, 3) for s in (time.perf_counter() - self._started, usage.seconds))
        return {
            "cost": cost.values,
            "statements": usage.statements,
            "databaseMs": database_ms,
            "totalMs": total_ms,
            "rows": usage.rows,
            "path": path,
            "reason": reason,
            "role": role,
            "cacheHits": {
                "document": is_known_document,
                "preparedStatements": usage.prepared,
                **({} if source is None else {"answer": source.value}),
            },
        }
