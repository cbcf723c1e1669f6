"""`aclue evaluate`: from files of events to ranks, probabilities and figures."""

from __future__ import annotations

import csv
import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli

PRODUCTS = 60
CATEGORIES = ("books", "games", "tea")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty products of three categories, and people who like one category each."""
    path = tmp_path_factory.mktemp("events")
    random = np.random.default_rng(1)

    def write(name: str, head: str, rows: list[tuple[object, ...]]) -> None:
        with gzip.open(path / name, "wt", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([head.split(","), *rows])

    def events(first: int, people: int) -> list[tuple[object, ...]]:
        rows = []
        for person in range(first, first + people):
            for place, product in enumerate(random.permutation(PRODUCTS)[:20]):
                liked = random.random() < (0.9 if product % 3 == person % 3 else 0.1)
                rows.append((f"p{person}", f"i{product}", 0.95 if liked else 0.2, place, f"2026-01-{place + 1:02}"))
        return rows

    items = [(f"i{n}", CATEGORIES[n % 3], f"A {CATEGORIES[n % 3]} thing", "Maker, Other") for n in range(PRODUCTS)]
    write("items.csv.gz", "item,category,title,makers", items)
    write("train.csv.gz", "user,item,value,seq,ts", events(0, 900))
    judged = events(10_000, 60)
    write("history.csv.gz", "user,item,value,seq,ts", [row for row in judged if int(str(row[3])) < 14])
    write("target.csv.gz", "user,item,value", [row[:3] for row in judged if int(str(row[3])) >= 14])
    return path


def evaluate(folder: Path, *more: str | Path) -> Result:
    files = [("--train", "train"), ("--items", "items"), ("--history", "history")]
    arguments = [part for option, name in files for part in (option, str(folder / f"{name}.csv.gz"))]
    return CliRunner().invoke(cli.app, ["evaluate", *arguments, *map(str, more)])


def quality(result: Result, method: str, known: str) -> float:
    """NDCG@10."""
    (line,) = [line for line in result.stdout.splitlines() if line.startswith(method.ljust(16) + known.rjust(6))]
    return float(line[22:].split()[0])


def test_it_ranks_and_judges_beside_simpler_methods(folder: Path, tmp_path: Path) -> None:
    ranks = tmp_path / "ranks.csv"
    result = evaluate(
        folder, "--target", folder / "target.csv.gz", "--levels", "0,3,all", "--out", ranks, "--category", "category"
    )
    assert result.exit_code == 0, result.output
    for method in ("aclue", "popularity", "item kNN", "EASE"):
        quality(result, method, "3")
    assert quality(result, "aclue", "all") > 1.5 * quality(result, "popularity", "all")
    assert (
        0 < quality(result, "aclue, mixed", "all") <= quality(result, "aclue", "all")
    )  # people like one category each
    assert ("ALS is not compared" in result.stderr) == (importlib.util.find_spec("implicit") is None)
    rows = list(csv.DictReader(ranks.read_text().splitlines()))
    assert {row["n"] for row in rows} == {"0", "3", "all"}
    of_one = [row for row in rows if row["user"] == "p10000" and row["n"] == "3"]
    assert [int(row["rank"]) for row in of_one] == list(range(1, PRODUCTS + 1))
    assert len({row["item"] for row in of_one}) == PRODUCTS


def test_probabilities_are_written_for_pairs(folder: Path, tmp_path: Path) -> None:
    chances = tmp_path / "chances.csv"
    result = evaluate(folder, "--pairs", folder / "target.csv.gz", "--out-probability", chances)
    assert result.exit_code == 0, result.output
    assert "probability by 3 events: calibration error" in result.stdout
    rows = list(csv.DictReader(chances.read_text().splitlines()))
    assert len(rows) == 60 * 6
    assert all(0 < float(row["p"]) < 1 for row in rows)


def test_cold_products_are_ranked_by_content(folder: Path) -> None:
    options = "--target", folder / "target.csv.gz", "--levels", "10", "--no-compare", "--cold", "0.2"
    result = evaluate(folder, *options, "--words", "title", "--category", "category")
    assert result.exit_code == 0, result.output
    assert "20% of the items left out" in result.stdout
    of_items = result.stdout[result.stdout.index("20% of the items") : result.stdout.index("the second largest")]
    figures = {line[:16].strip(): float(line[22:].split()[0]) for line in of_items.splitlines()[1:]}
    assert figures["cold: aclue"] > figures["cold: popularity"] + 0.05
    assert figures["warm: aclue"] > figures["warm: no content"] - 0.01
    alone = evaluate(folder, *options, "--brand", "makers")
    assert "second largest category" not in alone.stdout


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--levels", "three"], '--levels: not numbers or "all": three'),
        (["--levels", "-1"], "--levels: numbers of 0 or more, not -1"),
        (["--pairs", "pairs.csv"], "--pairs and --out-probability go together"),
        (["--cold", "0.1"], "--cold needs --target"),
        (["--tags", "genre"], "there is no column genre"),
        (["--target", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, options: list[str], complaint: str) -> None:
    result = evaluate(folder, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr
