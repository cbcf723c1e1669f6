"""How triggers of statements read what was changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).resolve().parents[2] / "sql" / "functions"
EXECUTED = re.compile(r"\$q\$.*?\$q\$|'(?:[^']|'')*'", re.DOTALL)
JOIN = re.compile(r"from\s+(changed|added|previous)\s+\w+\s+join\s+(changed|added|previous)\b")


def kept_joins(sql: str) -> list[str]:
    code = re.sub(r"--.*", "", sql)
    return [found[0] for found in JOIN.finditer(EXECUTED.sub("''", code))]


@pytest.mark.parametrize("file", sorted(FUNCTIONS.glob("*.sql")), ids=lambda file: file.stem)
def test_old_and_new_rows_are_joined_by_a_plan_made_each_time(file: Path) -> None:
    """A plan that is kept expects as many rows as its first statement had, maybe none, and takes hours for a large
    import."""
    assert kept_joins(file.read_text()) == []


def test_a_join_whose_plan_is_kept_is_found() -> None:
    assert kept_joins("ids := array(select c.id\n  from changed c join previous o on o.id = c.id);")
    assert not kept_joins("execute $q$ select c.id from changed c join previous o on o.id = c.id $q$;")
