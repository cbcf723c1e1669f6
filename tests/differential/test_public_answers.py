"""What is cached for everybody is what everybody is told: documents that count as public have the same answer for every
caller, with a token and without, from the cache and read anew."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest

from engine.requests import Request
from server import create_app
from tests.conftest import SECRET
from tests.differential.apps import ask, engine_of
from tests.differential.documents import Document, queries
from tests.differential.stage import Stage
from tests.streams import until

COUNT = 150
CALLERS = ("nobody", "visitor", "anna", "withdrawn", "admin", "analyst", "service")

pytestmark = pytest.mark.asyncio(loop_scope="session")


def public(stage: Stage) -> Iterator[Document]:
    """Public documents among the generated ones."""
    engine = engine_of(stage.pair.plain)
    for document in queries(stage.pair.schema, stage.world, 7, 100_000):
        request = Request(document.text, document.variables, document.operation_name)
        if document.is_valid and engine.prepare(request).is_public:
            yield document


async def test_every_caller_is_told_the_same_with_the_cache_and_without(stage: Stage) -> None:
    cached = stage.pair.planned.state.services
    assert cached.settings.public_cache_bytes
    await until(lambda: cached.database.changes.heard_until > 0)
    settings = msgspec.structs.replace(cached.settings, public_cache_bytes=0)
    app = create_app(settings, cached.database.dsn, SECRET, background=())
    tokens = {caller.name: caller.token for caller in stage.world.callers}
    with_data = 0
    async with app.router.lifespan_context(app):
        for document in itertools.islice(public(stage), COUNT):
            told = await ask(app, document, None)
            with_data += told.has_data
            for caller in CALLERS:
                for served in (stage.pair.planned, app):
                    assert await ask(served, document, tokens[caller]) == told, (caller, document)
    assert with_data > COUNT / 2
    assert cached.public_answers.size
