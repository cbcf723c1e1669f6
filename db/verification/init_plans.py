"""Reads a policy's condition as Postgres prints it: which calls are not inside `( SELECT … )`, so run once per row."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"'(?:[^']|'')*'|(?P<call>\bauth\.(?:uid|jwt|role)\()|(?P<select>\(\s*SELECT\b)|[()]")


def calls_per_row(condition: str) -> list[str]:
    """The calls of auth.uid(), auth.jwt() and auth.role() outside any sub-select."""
    found: list[str] = []
    is_select: list[bool] = []
    for token in _TOKEN.finditer(condition):
        if token["call"]:
            if not any(is_select):
                found.append(f"{token['call']})")
            is_select.append(False)
        elif token[0] == ")":
            is_select.pop()
        elif token[0].startswith("("):
            is_select.append(token["select"] is not None)
    return found
