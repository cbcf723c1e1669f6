"""Reports a run: on the terminal, as JSON, and as an exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from db.verification.check import Check, Outcome, Result

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.NOT_RUN: "yellow"}
_SHOWN_FAULTS = 5
NOT_ALL_RUN = 3  # 2 is the command line's own, for a wrong option


def exit_code(results: Iterable[Result]) -> int:
    """0 only when every check was run and passed."""
    outcomes = {result.outcome for result in results}
    if Outcome.FAILED in outcomes:
        return 1
    return NOT_ALL_RUN if Outcome.NOT_RUN in outcomes else 0


def summary(results: Iterable[Result]) -> str:
    counted = Counter(result.outcome for result in results)
    return ", ".join(f"{counted[outcome]} {outcome.value}" for outcome in Outcome)


def print_table(results: Sequence[Result]) -> None:
    """Prints each check with its outcome, failed ones with their faults and a hint for fixing them; then the counts."""
    console = Console(highlight=False)
    table = Table("check", "proves that", "", "ms", box=None, pad_edge=False)
    for previous, result in zip((None, *results), results, strict=False):
        if previous is not None and previous.check.group != result.check.group:
            table.add_section()
        style = _STYLES[result.outcome]
        row = (result.check.name, result.check.proves, result.outcome.value, f"{result.milliseconds:.0f}")
        table.add_row(row[0], row[1], Text(row[2], style), row[3])
    console.print(table)
    for result in results:
        if result.outcome is Outcome.FAILED:
            console.print(Text(f"\n{result.check.name} failed", "bold red"))
            for fault in result.faults[:_SHOWN_FAULTS]:
                console.print(Text(f"  {fault}"), soft_wrap=True)
            if len(result.faults) > _SHOWN_FAULTS:
                console.print(Text(f"  and {len(result.faults) - _SHOWN_FAULTS} more; --json tells all"))
            console.print(Text(f"  to mend it: {result.check.hint}"), soft_wrap=True)
    if any(result.outcome is Outcome.NOT_RUN for result in results):
        console.print("\nwhat was not run needs MIGRATION_DATABASE_URL, the owner's log-in")
    console.print(f"\n{summary(results)}")


def as_json(results: Sequence[Result]) -> str:
    counted = Counter(result.outcome for result in results)
    body = {
        "counts": {outcome.value: counted[outcome] for outcome in Outcome},
        "checks": [
            {
                "name": result.check.name,
                "proves": result.check.proves,
                "outcome": result.outcome.value,
                "milliseconds": round(result.milliseconds, 1),
                "faults": result.faults,
                "hint": result.check.hint if result.faults else None,
            }
            for result in results
        ],
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()


def as_list(checks: Iterable[Check]) -> str:
    """The table of docs/verify.md."""
    lines = ["| check | proves that |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{check.name}`{' *' if check.needs_owner else ''} | {check.proves} |" for check in checks)]
    )
