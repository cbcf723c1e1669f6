"""Trains the recommender, lists and rolls back trained models. Training needs the extra `training`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.terminal import api_database, databases, fail, load_settings, note, progress, require_packages
from db.claims import SERVICE
from db.embedded import Dsns
from services.training_runs import ALREADY_RUNNING, NEEDED
from settings import Settings

if TYPE_CHECKING:
    from db.session import Session

TIMEOUT_MS = 60 * 60 * 1000


def require_training() -> None:
    """Fails if the extra is not installed."""
    require_packages(*NEEDED, otherwise="; without it feeds are ranked by content and popularity")


def train(
    seed: Annotated[int, typer.Option(help="Holds out other people when strengths are chosen.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Threads.", min=1, max=256)] = 1,
) -> None:
    """Train the recommender on everybody's swipes, and serve what it learned. Feeds go on meanwhile."""
    require_training()
    settings = load_settings()
    with databases(settings) as dsns:
        trained = asyncio.run(_train(settings, dsns, seed, jobs))
    if trained is None:
        note("aclue: another training is running", "yellow")
        raise typer.Exit(ALREADY_RUNNING)
    print(f"trained model {trained['version']}: {trained['people']:,} people, {trained['events']:,} events")
    for kind, strength in trained["parameters"].items():
        quality = trained["metrics"]["ndcg10"].get(kind)
        chosen = ", ".join(f"{name} {value:g}" for name, value in strength.items())
        chosen += f", blend {trained['serving']['blend'][kind]:g}, a dislike {trained['serving']['dislike'][kind]:g}"
        print(
            f"{kind:8}{chosen}" + (f"   NDCG@10 {quality:.4f}" if quality is not None else "   default: too few people")
        )


async def _train(settings: Settings, dsns: Dsns, seed: int, jobs: int) -> dict[str, Any] | None:
    from training import models, storage

    async with _session(settings, dsns) as session:
        if not await session.fetchval("trained_models.try_lock"):
            return None
        with progress("Training") as advance:
            advance("reading")
            found = await storage.read(session)
            trained = models.train(found.events, found.content, seed, jobs=jobs, on_step=advance)
            version = await storage.store(session, found, trained, lambda share: advance(f"storing, {share:.0%}"))
            await _serve_newest(session)
        rows = await session.fetch("trained_models.list")
    return next(_described(row) for row in rows if row["version"] == version)


async def _serve_newest(session: Session) -> None:
    """A recommendation model with what was learned last: from the end of the transaction, all feeds at once."""
    from db.changes import EVERYBODY

    await session.fetch("recommendation_models.refresh_model")
    session.note_change("feeds", EVERYBODY)


def list_models() -> None:
    """List the trained models, newest first."""
    settings = load_settings()
    with databases(settings) as dsns:
        models = asyncio.run(_list(settings, dsns))
    for model in models:
        state = "served" if model["is_served"] else "withdrawn" if model["withdrawn_at"] else ""
        quality = "  ".join(f"{kind} {value:.4f}" for kind, value in model["metrics"]["ndcg10"].items())
        print(
            f"{model['version']:>6}  {model['created_at']:%Y-%m-%d %H:%M}  {model['people']:>9,} people"
            f"  {model['events']:>11,} events  {model['products']:>9,} products  {state:9}  {quality}".rstrip()
        )
    if not models:
        print("nothing was trained yet: aclue train")


async def _list(settings: Settings, dsns: Dsns) -> list[dict[str, Any]]:
    async with _session(settings, dsns) as session:
        return [_described(row) for row in await session.fetch("trained_models.list")]


def rollback() -> None:
    """Withdraw the newest trained model and serve the one before. Feeds that are being paged go on; the next training
    makes a new model."""
    settings = load_settings()
    with databases(settings) as dsns:
        withdrawn = asyncio.run(_rollback(settings, dsns))
    if withdrawn is None:
        fail("there is no trained model before this one")
    print(f"trained model {withdrawn} is withdrawn")


async def _rollback(settings: Settings, dsns: Dsns) -> int | None:
    async with _session(settings, dsns) as session:
        withdrawn: int | None = await session.fetchval("trained_models.withdraw")
        if withdrawn is not None:
            await _serve_newest(session)
    return withdrawn


def _described(row: Any) -> dict[str, Any]:
    return {**row, **{name: json.loads(row[name]) for name in ("parameters", "metrics", "serving")}}


@asynccontextmanager
async def _session(settings: Settings, dsns: Dsns) -> AsyncIterator[Session]:
    async with (
        api_database(settings, dsns) as database,
        database.session(SERVICE, read_only=False, statement_timeout_ms=TIMEOUT_MS) as session,
    ):
        yield session
