"""Reports `aclue verify --distributable`: on the terminal and as JSON."""

from __future__ import annotations

import msgspec
from rich.console import Console

from db.distribution import COORDINATOR, EVERYBODY, REPLACED_KEYS
from db.verification import report
from db.verification.distribution import Distribution


def print_report(found: Distribution) -> None:
    """Prints the checks, and then the lists of what distributing the tables involves."""
    report.print_table(found.results)
    console = Console(highlight=False)
    for name, lines in _lists(found).items():
        console.print(f"\n[bold]{_TITLES[name]}[/bold]")
        for item, why in lines.items():
            console.print(f"  {item}: {why}", soft_wrap=True, markup=False)
    if found.statements:
        single = found.statements - len(found.everybody)
        console.print(f"\n{single} of {found.statements} statements touch one shard at most")


def as_json(found: Distribution) -> str:
    """The checks as `aclue verify --json` gives them, and the lists."""
    body = msgspec.json.decode(report.as_json(found.results)) | {"statements": found.statements} | _lists(found)
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()


_TITLES = {
    "distributed": "Distributed tables",
    "coordinator": "Tables of people that stay on the coordinator",
    "replaced_keys": "Foreign keys to drop",
    "triggers": "Triggers that need citus.enable_unsafe_triggers",
    "every_shard": "Statements that touch every shard",
}


def _lists(found: Distribution) -> dict[str, dict[str, str]]:
    """Names of tables, keys, triggers and statements, each with a remark."""
    return {
        "distributed": {table: f"by {column}" for table, column in found.tables.items()},
        "coordinator": dict(COORDINATOR),
        "replaced_keys": dict(REPLACED_KEYS),
        "triggers": found.triggers,
        "every_shard": {
            label: EVERYBODY.get(label, f"reads {', '.join(tables)}") for label, tables in found.everybody.items()
        },
    }
