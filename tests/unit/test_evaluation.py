"""Evaluations of simulated answers, whose truth is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from tests.instruments import EXAMPLE
from training import plots, report
from training.evaluation import BadForm, _reached, distance, evaluate, short_form, split_half
from training.retests import Pair, retest
from training.simulation import simulate

EVALUATION = evaluate(EXAMPLE, simulate(EXAMPLE, 3000, seed=1), [], seed=1, people=20)


def test_every_item_and_scale_is_described() -> None:
    assert [item.code for item in EVALUATION.items if item.trait == "social"] == ["soc-1", "soc-2", "soc-3", "soc-4"]
    assert all(item.n == 3000 and item.missing == 0 and 0.2 < item.total < 0.7 for item in EVALUATION.items)
    for trait in EVALUATION.traits:
        assert 0.5 < trait.alpha < 0.8
        assert trait.split_half == pytest.approx(trait.alpha, abs=0.06)
        assert trait.distance < 0.06
        assert sum(trait.deciles) == pytest.approx(1)


def test_every_trait_with_a_short_form_has_its_own_coverage() -> None:
    assert [short.items for trait in EVALUATION.traits for short in trait.shorts] == [
        ("adv-1", "adv-2-"), ("int-1", "int-2-"), ("pra-1", "pra-2-"), ("cre-1",), ("soc-1",),
    ]  # fmt: skip
    for trait in EVALUATION.traits:
        assert np.mean(trait.shorts[0].coverage) == pytest.approx(0.68, abs=0.07)


def test_the_adaptive_order_comes_nearer_with_every_few_items() -> None:
    order = EVALUATION.order
    assert order.people == 20
    assert order.adaptive[0] == order.fixed[0]
    assert order.adaptive[-1] == order.fixed[-1] == 0
    assert all(order.adaptive[i] > order.adaptive[i + 5] for i in range(0, 15, 5))
    assert order.adaptive[order.reached] <= order.error < order.adaptive[order.reached - 1]


def test_somebody_at_the_median_is_measured_by_no_item() -> None:
    deviations = np.array([10.0, 5.0, 0.0])
    assert [_reached(deviations, error) for error in (11.0, 6.0, 4.0)] == [0, 1, 2]


def test_the_distance_of_uniform_percentiles_is_none() -> None:
    assert distance(np.arange(0.5, 100)) == pytest.approx(0)
    assert distance(np.repeat([25.0, 75.0], 50)) == 0  # two scores at their mid-ranks
    assert distance(np.repeat([10.0, 60.0], 50)) == pytest.approx(0.15)


def test_the_halves_are_balanced_in_their_keys() -> None:
    """A strong tendency to agree would tell apart halves of all positive and of all reversed items."""
    random = np.random.default_rng(1)
    signs = np.array([1, -1, 1, -1])
    agreement = random.standard_normal((5000, 1)) * signs
    keyed = random.standard_normal((5000, 1)) + agreement + random.standard_normal((5000, 4)) * 0.1
    assert split_half(EXAMPLE.of("social"), keyed) > 0.95


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("has no item zzz-1", "zzz-1"),
        ("adv-1 is not reverse-keyed", "adv-1-"),
        ("different items of one trait", "adv-1 soc-1"),
        ("different items of one trait", "adv-1 adv-1"),
        ("different items of one trait", ""),
        ("the full form of adventurous", "adv-1 adv-2- adv-3 adv-4"),
    ],
)
def test_a_form_that_is_none_is_refused(why: str, text: str) -> None:
    with pytest.raises(BadForm, match=why):
        short_form(EXAMPLE, text)


def test_the_tables_show_every_item_trait_and_short_form() -> None:
    text = "\n".join(report.lines(EVALUATION))
    assert text.startswith("example 1.0: 3,000 people, halves by seed 1")
    for word in ("soc-2-", "KS held out", "creative", "adv-1 adv-2-", "in adaptive order"):
        assert word in text
    assert max(len(line) for line in text.splitlines()) <= 130


def test_plots_are_png_files(tmp_path: Path) -> None:
    saved = plots.save(EVALUATION, tmp_path / "new" / "plots")
    assert [path.name for path in saved] == ["items.png", "scales.png", "norms.png", "order.png", "short-forms.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in saved)


def test_retests_correlate_first_and_last() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    pairs = [
        Pair({"social": first}, {"social": last, "practical": 3}, start, start + timedelta(days=days))
        for first, last, days in [(10, 20, 10), (50, 45, 30), (90, 99, 50)]
    ]
    (row,) = retest(("social", "practical"), pairs)
    assert (row.trait, row.people, row.days) == ("social", 3, 30)
    assert row.correlation == pytest.approx(np.corrcoef([10, 50, 90], [20, 45, 99])[0, 1])
    (two,) = retest(("social",), pairs[:2])
    assert isnan(two.correlation)
    assert any("social" in line for line in report.retest_lines([row]))
    assert "nobody took this version twice" in "\n".join(report.retest_lines([]))
