"""What a visit's landing page says of the campaign that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Tags:
    """The utm parameters of a page; None where it has none."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None


def tags_of(page: str | None) -> Tags:
    """Of a page's address or path. The first of several parameters counts; what cannot be read counts as none."""
    try:
        pairs = parse_qsl(urlsplit(page or "").query, max_num_fields=100)
    except ValueError:
        return Tags()
    found: dict[str, str] = {}
    for name, value in pairs:
        text = "".join(character for character in value if character.isprintable()).strip()[:MAX_LENGTH]
        if text:
            found.setdefault(name.lower(), text)
    return Tags(found.get("utm_source"), found.get("utm_medium"), found.get("utm_campaign"))
