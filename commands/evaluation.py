"""Evaluates the recommender on files of events, beside simpler methods. Needs the extra `training`."""

from __future__ import annotations

import csv
import gzip
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.terminal import fail, note, progress
from commands.training import require_training

if TYPE_CHECKING:
    from training.cold_starts import Data
    from training.events import Events
    from training.models import Trained
    from training.rankings import Scorer

RANKS = 100
MIN_KNOWN = 10  # events of those for whom probabilities are fitted, if they have to like some targets
MAX_DENSE = 20_000  # products up to which methods with dense matrices are compared

Events_ = Annotated[Path, typer.Option(help="Events: a CSV file, gzipped or not, with user, item, value, seq.")]


def evaluate(
    train: Events_,
    items: Annotated[Path, typer.Option(help="All products: a CSV file with item.")],
    history: Annotated[Path, typer.Option(help="Events of people to rank for.")],
    levels: Annotated[str, typer.Option(help="How many events of each person are known.")] = "0,1,3,5,10,all",
    out: Annotated[Path | None, typer.Option(help="Write the ranks here: user, item, rank, n.")] = None,
    target: Annotated[Path | None, typer.Option(help="What these people did next, to judge the ranks by.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Pairs user, item (and value, to judge) to predict.")] = None,
    out_probability: Annotated[Path | None, typer.Option(help="Write their probabilities here.")] = None,
    compare: Annotated[
        bool, typer.Option(help="Also popularity, item kNN, EASE, and ALS if implicit is there.")
    ] = True,
    category: Annotated[str | None, typer.Option(help="The column of --items with the category.")] = None,
    brand: Annotated[str | None, typer.Option(help="The column with the brand, or several: the first counts.")] = None,
    tags: Annotated[str | None, typer.Option(help="The column with tags, separated by commas.")] = None,
    words: Annotated[str | None, typer.Option(help="The column whose words are tags, too.")] = None,
    cold: Annotated[
        float, typer.Option(help="Also leave out this share of the items when training.", min=0, max=0.9)
    ] = 0,
    min_liked: Annotated[
        int, typer.Option(help="Liked targets of those for whom probabilities are fitted; 0: of everybody.", min=0)
    ] = 2,
    seed: Annotated[int, typer.Option(help="Holds out other people when strengths are chosen.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Threads.", min=1, max=256)] = 1,
) -> None:
    """Train on a file of events, in memory, rank for people of another one, and judge the ranks; with --category, also
    as feeds mix categories ("aclue, mixed")."""
    require_training()
    from training import cold_starts, contents, models, rankings
    from training.calibration import EVERYBODY, Population
    from training.events import BadEvents, read, read_items

    known = _levels(levels)
    if (pairs is None) != (out_probability is None):
        fail("evaluate: --pairs and --out-probability go together")
    if cold and target is None:
        fail("evaluate: --cold needs --target")
    population = Population(MIN_KNOWN, min_liked) if min_liked else EVERYBODY
    try:
        places = read_items(items)
        content = contents.read(items, category=category, brand=brand, tags=tags, words=words)
        learned, known_events = read(train, places), read(history, places)
        targets = read(target, places) if target else None
        with progress("Training") as advance:
            trained = models.train(learned, content, seed, population=population, jobs=jobs, on_step=advance)
        _describe(trained)
        scorer = rankings.scorer(trained.ranker(content))
        if out:
            _write(out, ("user", "item", "rank", "n"), _ranked(scorer, known_events, known, list(places)))
        if targets is not None:
            print(rankings.HEAD)
            methods: dict[str, Scorer] = {"aclue": scorer}
            if compare:
                methods |= _others(learned)
            judged: list[tuple[str, Scorer, Any]] = [(name, score, None) for name, score in methods.items()]
            if content.categories.nnz:
                judged.insert(1, ("aclue, mixed", scorer, content.category_of()))
            for name, score, categories in judged:
                found = {
                    n: rankings.judge(
                        rankings.rank(score, known_events, n, categories=categories), known_events, targets
                    )
                    for n in known
                }
                for line in rankings.lines(name, found):
                    print(line)
        if targets is not None and cold:
            _cold(cold_starts.Data(learned, content, known_events, targets), trained, known, cold, seed, jobs)
        if pairs is not None and out_probability is not None:
            _predict(trained, known_events, read(pairs, places), list(places), out_probability)
    except (BadEvents, rankings.NoTargets) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--out: {error}")


def _cold(data: Data, trained: Trained, levels: list[int | None], share: float, seed: int, jobs: int) -> None:
    """Prints how products fare that training has not seen."""
    from training import cold_starts, rankings

    for title, cold in (
        (f"{share:.0%} of the items left out", cold_starts.random_products(data, share, seed)),
        ("the second largest category left out", cold_starts.second_category(data)),
    ):
        if cold is None:
            continue
        print(title)
        for name, found in cold_starts.evaluate(data, trained.choice, cold, levels, jobs):
            for line in rankings.lines(name, found):
                print(line)


def _describe(trained: Trained) -> None:
    choice = trained.choice
    for kind, strength in choice.strengths.items():
        quality = choice.ndcg10.get(kind, float("nan"))
        blend = choice.serving.blend[kind]
        dislike = choice.serving.dislike[kind]
        print(
            f"{kind}: {strength}, blend {blend:g}, a dislike counts {dislike:g}, "
            f"NDCG@10 {quality:.4f} on held-out people of --train"
        )
    print(f"a super-like counts {choice.serving.super_like:g}, half-life in days: {choice.serving.half_life or 'none'}")


def _others(learned: Events) -> dict[str, Scorer]:
    from training import baselines

    likes = learned.likes()
    found: dict[str, Scorer] = {"popularity": baselines.popularity(likes)}
    if learned.product_count <= MAX_DENSE:
        found |= {"item kNN": baselines.item_knn(likes), "EASE": baselines.ease(likes)}
    if importlib.util.find_spec("implicit"):
        found["ALS"] = baselines.als(likes)
    else:
        note("ALS is not compared: install the extra evaluation (implicit)", "yellow")
    return found


def _levels(text: str) -> list[int | None]:
    try:
        found = [None if part.strip() == "all" else int(part) for part in text.split(",")]
    except ValueError:
        fail(f'--levels: not numbers or "all": {text}')
    if negative := [level for level in found if level is not None and level < 0]:
        fail(f"--levels: numbers of 0 or more, not {negative[0]}")
    return found


def _ranked(
    scorer: Scorer, history: Events, levels: list[int | None], names: list[str]
) -> Iterable[tuple[object, ...]]:
    from training import rankings

    for level in levels:
        ranks = rankings.rank(scorer, history, level, RANKS)
        for person, row in zip(history.names, ranks, strict=True):
            for place, product in enumerate(row, start=1):
                yield person, names[product], place, "all" if level is None else level


def _predict(trained: Trained, history: Events, pairs: Events, names: list[str], out: Path) -> None:
    """Writes the probabilities by all events; prints how good they are by 3, 10 and all, where values are known."""
    import numpy as np

    from training import calibration
    from training.events import LIKED
    from training.signals import known

    place = {name: index for index, name in enumerate(history.names)}
    missing = [name for name in pairs.names if name not in place]
    if missing:
        fail(f"--pairs: {missing[0]} is not in --history")
    people = np.array([place[name] for name in pairs.names], np.int64)[pairs.people]
    liked = (pairs.values >= LIKED).astype(np.float64)
    for level in (3, 10, None):
        chances = trained.calibration.probabilities(trained.tables, known(history, level), people, pairs.products)
        print(
            f"probability by {'all' if level is None else level} events: calibration error"
            f" {calibration.expected_error(chances, liked):.4f}, Brier {calibration.brier(chances, liked):.4f}"
        )
    rows = zip(pairs.people, pairs.products, chances, strict=True)
    _write(out, ("user", "item", "p"), ((pairs.names[u], names[i], f"{p:.6f}") for u, i, p in rows))


def _write(path: Path, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
