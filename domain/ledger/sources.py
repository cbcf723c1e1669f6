"""The networks whose reports can be read."""

from __future__ import annotations

from domain.ledger import amazon, awin, cj, ebay, impact, rakuten
from domain.ledger.timelines import Source

SOURCES: dict[str, Source] = {
    source.code: source
    for source in (amazon.SOURCE, awin.SOURCE, cj.SOURCE, ebay.SOURCE, impact.SOURCE, rakuten.SOURCE)
}
