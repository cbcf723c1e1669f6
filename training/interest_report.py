"""Tables of the evaluation on interests, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.evidence import Calibration, Proposal
from training.interests import KNOWN, Comparison, Report, Survey


def lines(survey: Survey, report: Report) -> Iterator[str]:
    """How well traits rank the interests of held-out people."""
    yield f"{report.people} people, {len(survey.interests)} interests; each person is ranked by models of the others"
    scales = (f"{trait} {alpha:.2f}" for trait, alpha in survey.alphas().items())
    yield f"alpha of the stand-ins: {', '.join(scales)}"
    yield ""
    yield "NDCG@10, nothing known but         baseline   with it   difference   95 % interval"
    yield from (f"{row.name:33}{_figures(row)}" for row in report.alone)
    yield ""
    yield "NDCG@10, answers known             without    with      difference   95 % interval       share   pull"
    for n, row, share, pull in zip(KNOWN, report.blend, report.shares, report.pull, strict=True):
        yield f"{n:<33}{_figures(row)}{share:8.2f}{pull:7.2f}"


def _figures(row: Comparison) -> str:
    interval = f"{row.lower * 100:+.1f} to {row.upper * 100:+.1f} %"
    return f"{row.first:10.4f}{row.second:10.4f}{row.difference * 100:+11.1f} %   {interval:16}"


def evidence_lines(proposals: Sequence[Proposal], found: Calibration) -> Iterator[str]:
    """The rows of the mappings that the survey supports, and how liking rises with lean times weight."""
    yield "trait         gift category          partial r   weight   evidence   confidence"
    for p in proposals:
        yield f"{p.trait:14}{p.category:22}{p.partial:+10.2f}{p.weight:+9.2f}   {p.evidence:8}{p.confidence:13.2f}"
    yield ""
    yield (
        f"log-odds of a rating of 4 or 5 per unit of lean * weight: {found.slope:.2f} ({found.lower:.2f} to"
        f" {found.upper:.2f}; {found.n:,} ratings, standard deviation of the sum {found.spread:.2f})"
    )
    yield "lean * weight   rated 4 or 5   expected without   ratings"
    yield from (
        f"{group.total:+13.2f}{group.observed * 100:13.1f} %{group.base * 100:17.1f} %{group.n:10,}"
        for group in found.groups
    )
