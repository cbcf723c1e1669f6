"""Evaluates the recommender on files of events, beside simpler methods. Needs the extra `training`."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.terminal import fail, progress
from commands.training import require_training

if TYPE_CHECKING:
    from training.events import Events
    from training.rankings import Scorer
    from training.slim import Strength, Table

RANKS = 100
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
    compare: Annotated[bool, typer.Option(help="Also popularity, item kNN and EASE.")] = True,
    seed: Annotated[int, typer.Option(help="Holds out other people when strengths are chosen.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Threads.", min=1, max=256)] = 1,
) -> None:
    """Train on a file of events, in memory, rank for people of another one, and judge the ranks."""
    require_training()
    from training import baselines, choosing, rankings, slim
    from training.events import BadEvents, read, read_items

    known = _levels(levels)
    if (pairs is None) != (out_probability is None):
        fail("evaluate: --pairs and --out-probability go together")
    try:
        places = read_items(items)
        learned, known_events = read(train, places), read(history, places)
        targets = read(target, places) if target else None
        with progress("Training") as advance:
            choice = choosing.choose(
                learned, seed, jobs=jobs, on_progress=lambda share: advance(f"choosing strengths, {share:.0%}")
            )
            likes = learned.likes()
            tables = slim.train(
                likes, choice.strengths, jobs=jobs, on_progress=lambda share: advance(f"weights, {share:.0%}")
            )
        for kind, strength in choice.strengths.items():
            print(
                f"{kind}: {strength}, NDCG@10 {choice.ndcg10.get(kind, float('nan')):.4f} on held-out people of --train"
            )
        scorer = rankings.scorer(tables)
        if out:
            names = list(places)
            _write(out, ("user", "item", "rank", "n"), _ranked(scorer, known_events, known, names))
        if targets is not None:
            print(rankings.HEAD)
            methods: dict[str, Scorer] = {"aclue": scorer}
            if compare:
                methods["popularity"] = baselines.popularity(likes)
            if compare and len(places) <= MAX_DENSE:
                methods |= {"item kNN": baselines.item_knn(likes), "EASE": baselines.ease(likes)}
            for name, score in methods.items():
                found = {n: rankings.judge(rankings.rank(score, known_events, n), known_events, targets) for n in known}
                for line in rankings.lines(name, found):
                    print(line)
        if pairs is not None and out_probability is not None:
            _predict(
                learned,
                choice.strengths,
                tables,
                known_events,
                read(pairs, places),
                list(places),
                out_probability,
                seed,
            )
    except (BadEvents, rankings.NoTargets) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--out: {error}")


def _levels(text: str) -> list[int | None]:
    try:
        return [None if part.strip() == "all" else int(part) for part in text.split(",")]
    except ValueError:
        fail(f'--levels: not numbers or "all": {text}')


def _ranked(
    scorer: Scorer, history: Events, levels: list[int | None], names: list[str]
) -> Iterable[tuple[object, ...]]:
    from training import rankings

    for level in levels:
        ranks = rankings.rank(scorer, history, level, RANKS)
        for person, row in zip(history.names, ranks, strict=True):
            for place, product in enumerate(row, start=1):
                yield person, names[product], place, "all" if level is None else level


def _predict(
    learned: Events,
    strengths: dict[str, Strength],
    tables: dict[str, Table],
    history: Events,
    pairs: Events,
    names: list[str],
    out: Path,
    seed: int,
) -> None:
    """Writes the probabilities by all events; prints how good they are by 3, 10 and all, where values are known."""
    import numpy as np

    from training import calibration
    from training.events import LIKED

    fitted = calibration.fit(learned, strengths, seed)
    place = {name: index for index, name in enumerate(history.names)}
    missing = [name for name in pairs.names if name not in place]
    if missing:
        fail(f"--pairs: {missing[0]} is not in --history")
    people = np.array([place[name] for name in pairs.names], np.int64)[pairs.people]
    liked = (pairs.values >= LIKED).astype(np.float64)
    for level in (3, 10, None):
        chances = fitted.probabilities(tables, history, level, people, pairs.products)
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
