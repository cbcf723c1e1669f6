"""The open Big Five responses of 19,719 people: reliabilities that are known, and norms judged on held-out people."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import instrument_files
from training.evaluation import Evaluation, evaluate, short_form
from training.responses import read


@pytest.fixture(scope="module")
def big_five(shared_data: Path) -> Evaluation:
    path = instrument_files.find("ipip-big-five")
    assert path is not None
    instrument = instrument_files.load(path).instrument
    responses = read(shared_data / "personality" / "openpsych_big5_data.tsv.gz", instrument)
    shorts = [short_form(instrument, "O3 O5 O6- O10")]
    return evaluate(instrument, responses, shorts, seed=1, people=10)


def test_the_big_five_are_as_reliable_as_known(big_five: Evaluation) -> None:
    alphas = {trait.trait: trait.alpha for trait in big_five.traits}
    assert alphas["extraversion"] == pytest.approx(0.89, abs=0.01)
    assert alphas["conscientiousness"] == pytest.approx(0.81, abs=0.01)
    assert alphas["openness"] == pytest.approx(0.79, abs=0.01)
    shorts = {" ".join(short.items): short.alpha for trait in big_five.traits for short in trait.shorts}
    assert shorts == {
        "E2- E5 E7 E10-": pytest.approx(0.82, abs=0.01),
        "C4- C6- C9 C10": pytest.approx(0.64, abs=0.01),
        "O2- O4- O7 O8": pytest.approx(0.64, abs=0.01),
        "O3 O5 O6- O10": pytest.approx(0.76, abs=0.01),
    }


def test_percentiles_of_held_out_people_are_uniform(big_five: Evaluation) -> None:
    for trait in big_five.traits:
        assert trait.distance < 0.0195  # the 5 % quantile for two samples of 9,859 people


def test_a_short_form_covers_68_percent_of_held_out_people_in_each_third(big_five: Evaluation) -> None:
    for trait in big_five.traits:
        for short in trait.shorts:
            assert short.coverage == pytest.approx((0.68,) * 3, abs=0.05), short.items
            assert 15 < short.width < 35


def test_adaptive_order_reaches_the_accuracy_with_fewer_items(big_five: Evaluation) -> None:
    assert big_five.order.reached < big_five.order.reached_fixed < 30
