"""What the Young People Survey says about the mappings from traits to gift categories. See docs/interests.md.

An interest speaks for gift categories (catalogue/instruments/young-people-interests.csv). Weights follow from partial
correlations, with two things held constant. Gender, because traits and interests both differ between women and men, and
gender must not rank gifts by way of a trait. And a person's mean rating, because somebody who rates everything higher
prefers nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from pathlib import Path
from statistics import NormalDist

import numpy as np

from training.interests import FOLDS, Floats, Ints, Survey, leans

FULL_WEIGHT_AT = 0.3  # a correlation of this size becomes a weight of 1: about the largest in the survey
SMALLEST = 0.1  # correlation worth a row
FALSE_DISCOVERIES = 0.05
RELIABLE_FROM = 0.5  # a trait's alpha below this never gives high evidence
STRENGTHS = {"low": 0.6, "medium": 0.8, "high": 1.0}
GROUPS = 5
SOURCE = "Young People Survey"

Weights = Mapping[tuple[str, str], float]  # by trait and gift category, -1..1


@dataclass(frozen=True, slots=True)
class Link:
    """How a trait goes with an interest: the correlation, and the partial one with its 95 % interval."""

    trait: str
    interest: str
    categories: tuple[str, ...]
    r: float
    partial: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A row of the mappings that the survey supports. `partial` is the mean over its interests (by Fisher's z)."""

    trait: str
    category: str
    weight: float
    evidence: str
    confidence: float
    partial: float
    n: int
    interests: tuple[str, ...]

    @property
    def effective(self) -> float:
        """The weight that ranking uses."""
        return self.weight * STRENGTHS[self.evidence] * self.confidence


@dataclass(frozen=True, slots=True)
class Group:
    """Ratings with similar sums of lean times weight: how many were 4 or 5, and how many their interests' and people's
    bases alone lead to expect."""

    total: float
    observed: float
    base: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """`slope` is in log-odds of a rating of 4 or 5 per unit of sum(lean * weight), with its 95 % interval."""

    slope: float
    lower: float
    upper: float
    spread: float
    n: int
    groups: Sequence[Group]


def correlate(survey: Survey) -> list[Link]:
    """Correlations of all traits with all interests, over people whose gender is known."""
    scores = leans(survey.means, survey.means)
    controls = np.column_stack([np.ones(len(scores)), survey.gender, _styles(survey)])
    known = survey.gender != 0
    links = []
    for column, interest in enumerate(survey.interests):
        people = known & ~np.isnan(survey.ratings[:, column])
        n = int(people.sum())
        variables = np.column_stack([survey.ratings[people, column], scores[people]])
        fitted = controls[people] @ np.linalg.lstsq(controls[people], variables, rcond=None)[0]
        plain, partial = np.corrcoef(variables.T)[0], np.corrcoef((variables - fitted).T)[0]
        for position, trait in enumerate(survey.traits, 1):
            z, margin = atanh(partial[position]), 1.96 * _error(n)
            links.append(
                Link(
                    trait=trait,
                    interest=interest.name,
                    categories=interest.categories,
                    r=float(plain[position]),
                    partial=float(partial[position]),
                    lower=tanh(z - margin),
                    upper=tanh(z + margin),
                    n=n,
                )
            )
    return links


def _styles(survey: Survey) -> Floats:
    """How much higher than others a person rates everything."""
    styles: Floats = np.nanmean(survey.ratings, axis=1) - np.nanmean(survey.ratings)
    return styles


def _error(n: int) -> float:
    """The standard error of Fisher's z of a partial correlation with two controls (Fisher 1924)."""
    return 1 / sqrt(n - 5)


def propose(survey: Survey) -> list[Proposal]:
    """The rows (trait, gift category) that the survey supports: a partial correlation of .1 or more, which Cohen (1988)
    calls small, with at most 5 % false discoveries expected (Benjamini and Hochberg 1995).

    Evidence is high if the whole interval is that large and the trait's items measure one thing, else medium. The
    confidence is r^2 / (r^2 + SE^2): how much of the estimate is not sampling error.
    """
    by_row: dict[tuple[str, str], list[Link]] = {}
    for link in correlate(survey):
        for category in link.categories:
            by_row.setdefault((link.trait, category), []).append(link)
    rows = []
    for (trait, category), links in by_row.items():
        z = sum(atanh(link.partial) for link in links) / len(links)
        # Interests of one category go together, so that more of them do not make the mean more certain.
        n = min(link.n for link in links)
        rows.append((2 * (1 - NormalDist().cdf(abs(z) / _error(n))), trait, category, z, n, links))
    rows.sort(key=lambda row: row[0])
    supported = max((i for i, row in enumerate(rows, 1) if row[0] <= FALSE_DISCOVERIES * i / len(rows)), default=0)
    reliabilities = survey.alphas()
    proposals = []
    for _, trait, category, z, n, links in rows[:supported]:
        if abs(tanh(z)) < SMALLEST:
            continue
        error = _error(n)
        is_strong = tanh(abs(z) - 1.96 * error) >= SMALLEST and reliabilities[trait] >= RELIABLE_FROM
        proposals.append(
            Proposal(
                trait=trait,
                category=category,
                weight=round(max(-1.0, min(1.0, tanh(z) / FULL_WEIGHT_AT)), 2),
                evidence="high" if is_strong else "medium",
                confidence=round(z * z / (z * z + error * error), 2),
                partial=tanh(z),
                n=n,
                interests=tuple(link.interest for link in links),
            )
        )
    return sorted(proposals, key=lambda p: (survey.traits.index(p.trait), -abs(p.partial)))


def calibrate(survey: Survey, expert: Weights, seed: int = 1) -> Calibration:
    """How the chance of a rating of 4 or 5 depends on sum(lean * weight), given each interest's and person's base.

    The weights of held-out people are the rows that the other people support. `expert` gives the weights of the rows
    that the survey as a whole does not support.
    A logistic regression with an intercept per interest, and errors that allow for dependence within a person (Liang
    and Zeger 1986).
    """
    columns = [i for i, interest in enumerate(survey.interests) if interest.categories]
    count = len(survey.ratings)
    supported = {(p.trait, p.category) for p in propose(survey)}
    priors = {row: weight for row, weight in expert.items() if row not in supported}
    totals = np.zeros((count, len(columns)))
    for held in np.array_split(np.random.default_rng(seed).permutation(count), FOLDS):
        rest = np.setdiff1d(np.arange(count), held)
        weights = priors | {(p.trait, p.category): p.effective for p in propose(_of(survey, rest))}
        table = np.array(
            [
                [np.mean([weights.get((trait, c), 0.0) for c in survey.interests[i].categories]) for i in columns]
                for trait in survey.traits
            ]
        )
        totals[held] = leans(survey.means[rest], survey.means[held]) @ table
    ratings = survey.ratings[:, columns]
    people, items = np.nonzero(~np.isnan(ratings))
    liked = (ratings[people, items] >= 4).astype(np.float64)
    total = totals[people, items]
    covariates = np.column_stack([_styles(survey)[people], total])
    slope, error, _ = _logistic(covariates, items, liked, people)
    base = _logistic(covariates[:, :1], items, liked, people)[2]
    groups = [
        Group(float(total[g].mean()), float(liked[g].mean()), float(base[g].mean()), len(g))
        for g in np.array_split(np.argsort(total, kind="stable"), GROUPS)
    ]
    return Calibration(slope, slope - 1.96 * error, slope + 1.96 * error, float(total.std()), len(total), groups)


def _of(survey: Survey, people: Ints) -> Survey:
    keyed = {trait: answers[people] for trait, answers in survey.keyed.items()}
    return Survey(
        survey.traits, survey.interests, keyed, survey.means[people], survey.ratings[people], survey.gender[people]
    )


def _logistic(covariates: Floats, items: Ints, liked: Floats, people: Ints) -> tuple[float, float, Floats]:
    """The coefficient of the last covariate, its standard error (robust to dependence within people), and the fitted
    chances. Each item has an intercept; Newton's method, with the intercepts eliminated from each step."""
    slopes = np.zeros(covariates.shape[1])
    intercepts = np.zeros(int(items.max()) + 1)

    def by_item(values: Floats) -> Floats:
        return np.bincount(items, values, len(intercepts)).astype(np.float64)

    for _ in range(50):
        chances = 1 / (1 + np.exp(-(covariates @ slopes + intercepts[items])))
        weights = chances * (1 - chances)
        rest = liked - chances
        totals = by_item(weights)
        means = np.column_stack([by_item(weights * column) for column in covariates.T]) / totals[:, None]
        centred = covariates - means[items]
        information = (centred * weights[:, None]).T @ centred
        step = np.linalg.solve(information, centred.T @ rest)
        slopes += step
        intercepts += by_item(rest) / totals - means @ step
        if np.abs(step).max() < 1e-9:
            break
    scores = np.column_stack([np.bincount(people, column * rest) for column in centred.T])
    inverse = np.linalg.inv(information)
    covariance = inverse @ scores.T @ scores @ inverse
    return float(slopes[-1]), float(np.sqrt(covariance[-1, -1])), chances


def read_weights(path: Path) -> dict[tuple[str, str], float]:
    """Reads the mappings of catalogue/reference/mappings.csv as weights that ranking uses."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["trait"], row["category"]): float(row["weight"])
            * STRENGTHS[row["evidence"]]
            * float(row["confidence"])
            for row in csv.DictReader(file)
        }


def write_links(path: Path, links: Sequence[Link]) -> None:
    """Writes the correlations with interests that speak for a gift category, as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trait", "interest", "categories", "r", "partial", "lower", "upper", "n", "source"])
        for link in links:
            if link.categories:
                figures = (f"{value:.3f}" for value in (link.r, link.partial, link.lower, link.upper))
                writer.writerow([link.trait, link.interest, " ".join(link.categories), *figures, link.n, SOURCE])


def write_proposals(path: Path, proposals: Sequence[Proposal]) -> None:
    """Writes the rows that the survey supports, in the columns of catalogue/reference/mappings.csv and their reason."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["category", "trait", "weight", "evidence", "confidence", "partial", "n", "interests"])
        for p in proposals:
            reason = (f"{p.partial:.3f}", p.n, "|".join(p.interests))
            writer.writerow([p.category, p.trait, p.weight, p.evidence, p.confidence, *reason])
