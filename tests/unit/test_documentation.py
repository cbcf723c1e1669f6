"""The pages of the documentation lead to one another: no link is broken, and the index lists each page once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "catalogue/**/*.md", "examples/*.md", "web/*.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$|`[^`\n]+`", re.S | re.M)
HEADING = re.compile(r"^#+ (.+)$", re.M)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> list[tuple[Path, str]]:
    """The files that a page links to, each with an anchor or an empty one."""
    text = FENCED.sub("", page.read_text())
    return [((page.parent / file).resolve() if file else page, anchor) for file, anchor in LINK.findall(text)]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = HEADING.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{file.relative_to(ROOT)}#{anchor}"
        for file, anchor in links(page)
        if not file.exists() or (anchor and anchor not in anchors(file))
    ]
    assert broken == []


def test_the_index_lists_every_page_once() -> None:
    index = ROOT / "docs/README.md"
    listed = Counter(file for file, _ in links(index))
    assert {name(page): listed[page] for page in PAGES if page != index} == {
        name(page): 1 for page in PAGES if page != index
    }
