"""Experiments: docs/experiments.md."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import msgspec
import typer

from commands.operations import instant
from commands.terminal import connected_as_owner, databases, fail, load_settings
from db.queries import QUERIES
from domain import experiments as domain
from domain.experiments import MIN_EFFECTIVE_SAMPLE, Estimate

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_NAME = 50
MAX_SHARE = 1000

Key = Annotated[str, typer.Argument(help="The experiment's key.")]


def create(
    key: Annotated[str, typer.Argument(help="Lower-case words with hyphens.")],
    arm: Annotated[list[str], typer.Option(help="NAME or NAME=SHARE, 2 to 10 times; the first is the control.")],
    description: Annotated[str, typer.Option(help="What is tested, and why.")] = "",
    surface: Annotated[str | None, typer.Option(help="discover: arms rank feeds. Default: a front end's arms.")] = None,
    parameters: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: what an arm of a surface overrides of the model, as JSON.")
    ] = None,
    allocation: Annotated[float, typer.Option(help="The share of all people who take part: 0 to 1.")] = 1,
) -> None:
    """Create a draft of an experiment."""
    arms = _arms(arm)
    if not _is_name(key):
        fail(f"{key}: give lower-case words with hyphens, at most {MAX_NAME} characters")
    if surface not in (None, "discover"):
        fail(f"--surface {surface}: there is discover")
    if not 0 < allocation <= 1:
        fail(f"--allocation {allocation}: give more than 0 and at most 1")
    if len(description) > 1000:
        fail("--description: give at most 1000 characters")
    overrides = _overrides(parameters or [], arms)
    if overrides and surface is None:
        fail("--parameters: a front end's arms rank nothing; give --surface")

    async def work(owner: asyncpg.Connection[Any]) -> None:
        defaults = msgspec.json.decode(await owner.fetchval(QUERIES["experiments.defaults"].sql))
        for name, given in overrides.items():
            for error in domain.override_errors(given, defaults):
                fail(f"--parameters {name}: {error}")
        async with owner.transaction():
            values = (key, description, surface, allocation)
            experiment = await owner.fetchval(QUERIES["experiments.create"].sql, *values)
            if experiment is None:
                fail(f"there is an experiment {key} already")
            texts = [msgspec.json.encode(overrides.get(name, {})).decode() for name in arms]
            shares = list(arms.values())
            await owner.execute(QUERIES["experiments.add_arms"].sql, experiment, list(arms), shares, texts)
        print(f"{key}: a draft; start it with `aclue experiment start {key}`")

    _run(work)


def _is_name(text: str) -> bool:
    return bool(NAME.fullmatch(text)) and len(text) <= MAX_NAME


def _arms(given: list[str]) -> dict[str, float]:
    arms: dict[str, float] = {}
    for text in given:
        name, _, share = text.partition("=")
        try:
            arms[name] = float(share or 1)
        except ValueError:
            fail(f"--arm {text}: {share} is no number")
        if not _is_name(name):
            fail(f"--arm {text}: give a name of lower-case words with hyphens")
        if not 0 < arms[name] <= MAX_SHARE:
            fail(f"--arm {text}: give a share of more than 0 and at most {MAX_SHARE}")
    if len(arms) != len(given) or not 2 <= len(arms) <= 10:
        fail("--arm: give 2 to 10 different arms")
    return arms


def _overrides(given: list[str], arms: dict[str, float]) -> dict[str, dict[str, Any]]:
    overrides = {}
    for text in given:
        name, _, file = text.partition("=")
        if name not in arms:
            fail(f"--parameters {text}: there is no arm {name}")
        try:
            overrides[name] = msgspec.json.decode(Path(file).read_bytes(), type=dict[str, Any])
        except (OSError, ValueError) as error:
            fail(f"--parameters {text}: {getattr(error, 'strerror', None) or error}")
        if len(msgspec.json.encode(overrides[name])) > 8000:
            fail(f"--parameters {text}: give at most 8000 bytes")
    return overrides


def start(
    key: Key,
    at: Annotated[str | None, typer.Option(help="When, such as 2026-12-01T00:00:00Z. Default: now.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends. Default: when it is stopped.")] = None,
) -> None:
    """Start an experiment. From then on only its end can be changed."""
    starts_at, ends_at = instant(at, "--at"), instant(until, "--until")
    if starts_at is not None and starts_at < datetime.now(UTC):
        fail("--at: is in the past")
    if ends_at is not None and ends_at <= (starts_at or datetime.now(UTC)):
        fail("--until: is not after the start")

    async def work(owner: asyncpg.Connection[Any]) -> None:
        try:
            row = await owner.fetchrow(QUERIES["experiments.start"].sql, key, starts_at, ends_at)
        except asyncpg.ExclusionViolationError:
            fail(f"{key}: another experiment runs on the same surface in that time")
        if row is None:
            fail(f"there is no experiment {key} that has not started")
        print(f"{key}: from {_shown(row['starts_at'])} to {_shown(row['ends_at'])}")

    _run(work)


def stop(key: Key) -> None:
    """End a running experiment. It can still be reported, and cannot be started again."""

    async def work(owner: asyncpg.Connection[Any]) -> None:
        ended = await owner.fetchval(QUERIES["experiments.stop"].sql, key)
        if ended is None:
            fail(f"there is no running experiment {key}")
        print(f"{key}: ended {_shown(ended)}")

    _run(work)


def list_experiments() -> None:
    """Print all experiments."""

    async def work(owner: asyncpg.Connection[Any]) -> None:
        for row in await owner.fetch(QUERIES["experiments.list"].sql):
            print(
                f"{row['key']:30} {_state(row):9} {row['surface'] or 'front end':9} {row['allocation']:4.0%} "
                f"{row['people']:>8} people  {', '.join(row['arms'])}"
            )

    _run(work)


def _state(row: asyncpg.Record) -> str:
    if row["starts_at"] is None:
        return "draft"
    if row["ends_at"] is not None and row["ends_at"] <= row["now"]:
        return "ended"
    return "running" if row["starts_at"] <= row["now"] else "planned"


def report(key: Key) -> None:
    """Print what an experiment says: per arm people, impressions, likes and clicks, with 95 % intervals."""

    async def work(owner: asyncpg.Connection[Any]) -> None:
        async with owner.transaction(isolation="repeatable_read", readonly=True):
            found = await owner.fetchrow(QUERIES["experiments.find"].sql, key)
            if found is None:
                fail(f"there is no experiment {key}")
            if found["starts_at"] is None:
                fail(f"{key} has not started")
            units = await owner.fetch(QUERIES["experiments.units"].sql, found["id"])
            outcomes = {
                row["variant"]: row for row in await owner.fetch(QUERIES["experiments.outcomes"].sql, found["id"])
            }
            explored = {row["name"]: row for row in await owner.fetch(QUERIES["experiments.explored"].sql, found["id"])}
        print(f"{key}: from {_shown(found['starts_at'])} to {_shown(found['ends_at'])}")
        for line in (*_sample_lines(units, outcomes), *_rate_lines(units, outcomes), *_explored_lines(units, explored)):
            print(line)

    _run(work)


def _sample_lines(units: list[Any], outcomes: dict[str, Any]) -> list[str]:
    whole = sum(unit["share"] for unit in units)
    ratio = domain.sample_ratio([unit["people"] for unit in units], [unit["share"] for unit in units])
    lines = [f"\n{'arm':20} {'share':>7} {'people':>9} {'crossed':>8} {'impressions':>12} {'likes':>8} {'clicks':>8}"]
    for unit in units:
        row = outcomes.get(unit["name"])
        crossed, n, y, z = (row["crossed"], row["n"], row["y"], row["z"]) if row else (0, 0, 0, 0)
        lines.append(
            f"{unit['name']:20} {unit['share'] / whole:7.1%} {unit['people']:9} {crossed:8} {n:12.0f} {y:8.0f} {z:8.0f}"
        )
    verdict = "SAMPLE RATIO MISMATCH: do not trust the figures" if ratio.is_alarming else "as the shares say"
    return [*lines, f"people per arm: chi-square {ratio.statistic:.2f}, p {ratio.p:.3g}: {verdict}"]


def _rate_lines(units: list[Any], outcomes: dict[str, Any]) -> list[str]:
    lines = []
    for title, one in (("likes", "y"), ("clicks", "z")):
        lines.append(f"\n{title} per impression" + " " * 20 + "difference from the first arm")
        control = None
        for number, unit in enumerate(units):
            rate = _rate(outcomes.get(unit["name"]), one)
            difference = rate.minus(control) if number and rate and control else None
            lines.append(
                f"{unit['name']:20} {_interval(rate):28} {_interval(difference, sign='+') if number else ''}".rstrip()
            )
            control = rate if number == 0 else control
    return lines


def _rate(row: Any, one: str) -> Estimate | None:
    return domain.ratio(row["people"], row["n"], row[one], row["nn"], row[f"n{one}"], row[one * 2]) if row else None


def _explored_lines(units: list[Any], explored: dict[str, Any]) -> list[str]:
    lines = ["\nif explored slots chose among their candidates evenly (self-normalised inverse propensity)"]
    for unit in units:
        row = explored.get(unit["name"])
        if row is None:
            lines.append(f"{unit['name']:20} no impressions of explored slots")
            continue
        likes = domain.off_policy(row["w"], row["ww"], row["wy"], row["wwy"])
        clicks = domain.off_policy(row["w"], row["ww"], row["wz"], row["wwz"])
        size = f"{row['impressions']} impressions, effective sample {likes.effective_sample:.0f}"
        if likes.estimate is None:
            lines.append(f"{unit['name']:20} {size}: below {MIN_EFFECTIVE_SAMPLE}, no estimate")
        else:
            lines.append(
                f"{unit['name']:20} {size}: likes {_interval(likes.estimate)}, clicks {_interval(clicks.estimate)}"
            )
    return lines


def _interval(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return "too few people"
    return f"{estimate.value:{sign}.4f} ({estimate.low:{sign}.4f} to {estimate.high:{sign}.4f})"


def _shown(at: datetime | None) -> str:
    return "an open end" if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _run(work: Callable[[asyncpg.Connection[Any]], Coroutine[Any, Any, T]]) -> T:
    async def connected() -> T:
        async with connected_as_owner(dsns) as owner:
            return await work(owner)

    with databases(load_settings()) as dsns:
        try:
            return asyncio.run(connected())
        except asyncpg.InsufficientPrivilegeError:
            fail("MIGRATION_DATABASE_URL: experiments are the owner's, and DATABASE_URL is not the owner's log-in")
        except asyncpg.ObjectNotInPrerequisiteStateError as error:
            fail(str(error))
