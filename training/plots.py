"""An evaluation as PNG files."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation import THIRDS, Evaluation

matplotlib.use("Agg")


def save(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Writes the plots into a folder, which is created; their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {"items": _items, "scales": _scales, "norms": _norms, "order": _order}
    if any(trait.shorts for trait in evaluation.traits):
        plots["short-forms"] = _shorts
    paths = []
    for name, draw in plots.items():
        figure = Figure(figsize=(9, 6), layout="constrained")
        draw(evaluation, figure.subplots())
        figure.suptitle(f"{evaluation.instrument} {evaluation.version}, {evaluation.people:,} people")
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths


def _items(evaluation: Evaluation, axes: Axes) -> None:
    colours = {trait.trait: f"C{i}" for i, trait in enumerate(evaluation.traits)}
    rows = np.arange(len(evaluation.items))
    axes.barh(rows, [item.total for item in evaluation.items], color=[colours[item.trait] for item in evaluation.items])
    axes.set_yticks(rows, [item.code + "-" * item.is_reversed for item in evaluation.items], fontsize=6)
    axes.invert_yaxis()
    axes.axvline(0.3, color="grey", linestyle=":")
    axes.set_xlabel("corrected item-total correlation; dotted: .3")


def _scales(evaluation: Evaluation, axes: Axes) -> None:
    rows = [(trait.trait, trait.alpha, trait.split_half) for trait in evaluation.traits]
    rows += [(" ".join(short.items), short.alpha, np.nan) for trait in evaluation.traits for short in trait.shorts]
    at = np.arange(len(rows))
    axes.barh(at - 0.2, [row[1] for row in rows], 0.4, label="Cronbach's alpha")
    axes.barh(at + 0.2, [row[2] for row in rows], 0.4, label="split-half, Spearman-Brown")
    axes.set_yticks(at, [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.legend()


def _norms(evaluation: Evaluation, axes: Axes) -> None:
    middles = np.arange(5, 100, 10)
    for trait in evaluation.traits:
        axes.plot(middles, 100 * np.array(trait.deciles), marker="o", label=trait.trait)
    axes.axhline(10, color="grey", linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("percentile by the norms of the other half")
    axes.set_ylabel("held-out people, %")
    axes.legend()


def _shorts(evaluation: Evaluation, axes: Axes) -> None:
    shorts = [short for trait in evaluation.traits for short in trait.shorts]
    at = np.arange(len(THIRDS))
    for i, short in enumerate(shorts):
        axes.bar(at + 0.8 * (i / len(shorts) - 0.5), 100 * np.array(short.coverage), 0.7 / len(shorts),
                 label=f"{' '.join(short.items)}; mean width {short.width:.0f}")  # fmt: skip
    axes.axhspan(63, 73, color="grey", alpha=0.2, zorder=0)
    axes.axhline(68, color="grey", linestyle=":")
    axes.set_xticks(at, ["low third", "middle third", "high third"])
    axes.set_ylabel("held-out people within the stated error, %")
    axes.legend(fontsize=8)


def _order(evaluation: Evaluation, axes: Axes) -> None:
    order = evaluation.order
    axes.plot(order.adaptive, label=f"adaptive: within the error from {order.reached} items on")
    axes.plot(order.fixed, label=f"in order: from {order.reached_fixed} items on")
    axes.axhline(order.error, color="grey", linestyle=":", label="standard error of the full form")
    axes.set_xlabel("items answered")
    axes.set_ylabel("deviation from the full form, points (root mean square)")
    axes.legend()
