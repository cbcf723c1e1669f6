"""The networks whose reports can be read, and how a conversion of any network is understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from domain.ledger import amazon, awin, cj, ebay, generic, impact, postbacks, rakuten, sovrn, tradedoubler
from domain.ledger.reports import Report, distinct_states
from domain.ledger.timelines import Source, Timeline

SOURCES: dict[str, Source] = {
    source.code: source
    for source in (
        amazon.SOURCE,
        awin.SOURCE,
        cj.SOURCE,
        ebay.SOURCE,
        impact.SOURCE,
        rakuten.SOURCE,
        sovrn.SOURCE,
        tradedoubler.SOURCE,
    )
}


def timeline_of(network: str, reports: Sequence[Report]) -> Timeline:
    """The timeline of a conversion; networks without a reader of their own report snapshots. Postbacks count only where
    there is nothing else, and a state counts once, of the earliest order that is named with it. Steps name states."""
    in_order = sorted(postbacks.counted(reports), key=lambda report: (report.ordered_at, report.identity))
    reports = [replace(report, identity=report.state_identity) for report in distinct_states(in_order)]
    if reports[0].kind == postbacks.POSTBACK:
        return postbacks.timeline(reports)
    source = SOURCES.get(network)
    return source.timeline(reports) if source else generic.timeline(reports)
