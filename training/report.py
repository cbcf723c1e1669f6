"""An evaluation as text: tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from training.evaluation import Evaluation
from training.retests import Retest


def lines(evaluation: Evaluation) -> Iterator[str]:
    """The tables, line by line."""
    name = f"{evaluation.instrument} {evaluation.version}"
    yield f"{name}: {evaluation.people:,} people, halves by seed {evaluation.seed}"
    yield from ("", "Items", f"{'item':24}{'trait':18}{'n':>8}{'missing':>9}{'mean':>7}{'sd':>7}{'item-total':>12}")
    for item in evaluation.items:
        code = item.code + "-" * item.is_reversed
        yield (
            f"{code:24}{item.trait:18}{item.n:>8,}{item.missing:>9,}{item.mean:>7.2f}{item.sd:>7.2f}"
            f"{_number(item.total):>12}"
        )
    heads = ("n", "alpha", "split-half", "error", "KS held out", "KS stored")
    yield from ("", "Scales", f"{'trait':24}" + "".join(f"{head:>12}" for head in heads))
    for trait in evaluation.traits:
        stored = "-" if trait.stored_distance is None else _number(trait.stored_distance)
        yield (
            f"{trait.trait:24}{trait.n:>12,}{_number(trait.alpha):>12}{_number(trait.split_half):>12}{trait.error:>12.1f}"
            f"{_number(trait.distance):>12}{stored:>12}"
        )
    yield from ("", "Held-out people by tenth of the percentile, in %")
    for trait in evaluation.traits:
        yield f"{trait.trait:24}" + "".join(f"{100 * share:>6.1f}" for share in trait.deciles)
    yield from _shorts(evaluation)
    yield from _order(evaluation)


def _shorts(evaluation: Evaluation) -> Iterator[str]:
    if not any(trait.shorts for trait in evaluation.traits):
        return
    heads = ("alpha", "r with full", "low third", "middle", "high third", "mean width")
    yield from ("", "Short forms: held-out people within the stated error, in % by third of the short percentile")
    yield f"{'items':24}" + "".join(f"{head:>12}" for head in heads)
    for trait in evaluation.traits:
        for short in trait.shorts:
            yield (
                f"{' '.join(short.items):24}{_number(short.alpha):>12}{_number(short.correlation):>12}"
                + "".join(f"{100 * share:>12.1f}" for share in short.coverage)
                + f"{short.width:>12.1f}"
            )


def _order(evaluation: Evaluation) -> Iterator[str]:
    order = evaluation.order
    yield from ("", f"Root mean square deviation from the full form's percentile, {order.people} held-out people")
    yield f"{'items answered':16}{'adaptive':>12}{'in order':>12}"
    total = len(order.adaptive) - 1
    for count in sorted({*range(0, total + 1, max(1, total // 10)), total}):
        yield f"{count:<16}{order.adaptive[count]:>12.1f}{order.fixed[count]:>12.1f}"
    yield (
        f"within the full form's error of {order.error:.1f} points from {order.reached} of {total} items on in "
        f"adaptive order, from {order.reached_fixed} in the instrument's"
    )


def retest_lines(retests: Sequence[Retest]) -> Iterator[str]:
    """The table of test-retest correlations."""
    yield from ("", "Test-retest: the first and the last quiz of people who took it again")
    if not retests:
        yield "nobody took this version twice with care yet"
        return
    yield f"{'trait':24}{'people':>12}{'r':>12}{'median days':>12}"
    for retest in retests:
        yield f"{retest.trait:24}{retest.people:>12,}{_number(retest.correlation):>12}{retest.days:>12.0f}"


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"
