"""Google's product taxonomy, from the file that Google publishes with numbers: `784 - Media > Books`."""

from __future__ import annotations

import re

from domain.feed_mappings import ImportFailed

MAX_NUMBER = 2**31 - 1
_LINE = re.compile(r"(\d{1,9}) - (\S.*)", re.ASCII)


def parse_taxonomy(text: str) -> dict[int, list[str]]:
    """The names from root to leaf of each number. Raises ImportFailed, naming the line, for another kind of file."""
    found: dict[int, list[str]] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        levels = [level.strip() for level in match[2].split(">")] if match else []
        if match is None or not all(levels) or len(levels) > 20:
            raise ImportFailed(f"line {number}: not `NUMBER - Name > Name`: is it Google's file with numbers?")
        found[int(match[1])] = levels
    if not found:
        raise ImportFailed("no category in the file")
    return found
