"""What products have in common, from files and as affinities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import content, contents
from training.events import BadEvents
from training.signals import Signals

FILE = """item,kind,makers,genres,title
a,tea,"Twig, Leaf",green tea,Green tea for three
b,tea,Leaf,"green tea , gift",Black tea
c,,,,Tea and a mug
d,mug,Twig,gift,Mug
"""


def test_a_file_says_what_products_have_in_common(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text(FILE)
    found = contents.read(file, category="kind", brand="makers", tags="genres", words="title")
    assert found.categories.toarray().tolist() == [[1, 0], [1, 0], [0, 0], [0, 1]]
    assert found.brands.toarray().tolist() == [[1, 0], [0, 1], [0, 0], [1, 0]]
    assert found.tags.toarray().tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]]  # tea is a word of three
    assert contents.read(file).tags.shape == (4, 0)


def test_a_file_without_the_column_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text("item,kind\na\n")
    with pytest.raises(BadEvents, match="no column brand"):
        contents.read(file, brand="brand")
    with pytest.raises(BadEvents, match="fewer columns"):
        contents.read(file, category="kind")


def test_preferences_are_shrunk_means_of_leans() -> None:
    known = content.make(["x", "x", "y", None], [None, "m", "m", None], [[], ["t"], ["t", "u"], ["u"]])
    signals = Signals(np.zeros(2, np.int64), np.array([1, 3]), np.array([0.95, 0.2]), np.zeros(2), 1, 4)
    (found,) = content.preferences(known, signals, np.array([1.0, 0.5]))
    liked, disliked = 0.9 / 3, 0.5 * 0.25 * -0.6 / 2.5
    assert found == pytest.approx(
        [
            0.5 * liked,
            0.5 * liked + 0.2 * liked + 0.3 * liked,
            0.2 * liked + 0.3 * (liked + disliked) / 2,
            0.3 * disliked,
        ]
    )
