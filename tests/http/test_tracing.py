"""Spans of requests, operations and statements; the trace goes on to whom we ask; off, nothing is imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from db import tracing
from db.tracing import Tracing
from services import jobs
from services.jobs import Job
from services.services import Services
from tests.conftest import Shop

ROOT = Path(__file__).resolve().parents[2]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    traced = Tracing(exporter)
    monkeypatch.setattr(tracing, "current", traced)
    yield exporter
    traced.close()


def spans(exported: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exported.get_finished_spans()}


async def test_a_request_continues_the_trace_of_its_client(shop: Shop, exported: InMemorySpanExporter) -> None:
    body = {"query": "query Secret { products(first: 1) { nodes { name } } }"}
    answer = await shop.http.post("/graphql", json=body, headers=TRACEPARENT)
    found = spans(exported)
    request, operation, statement = (found[name] for name in ("POST /graphql", "query products", "SQL"))
    assert request.context and request.parent and operation.context and operation.parent and statement.parent
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert operation.parent.span_id == request.context.span_id
    assert statement.parent.span_id == operation.context.span_id
    assert (request.kind, statement.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "aclue.request_id": answer.headers["x-request-id"],
    }
    assert (operation.attributes or {})["aclue.path"] == "plan"
    assert (statement.attributes or {})["db.response.returned_rows"] == 2  # one more tells of a next page


async def test_spans_say_nothing_of_anybody(shop: Shop, exported: InMemorySpanExporter) -> None:
    anna = await shop.account("anna@people.example")
    await shop.owner.execute("alter table public.profiles add constraint odd check (display_name is null) not valid")
    rename = "mutation Anna($n: String) { updateProfile(input: {displayName: $n}) { userErrors { message } } }"
    assert await anna.code(rename, n="Anna Unmistakable") == "INTERNAL_SERVER_ERROR"
    told = " ".join(span.to_json() for span in exported.get_finished_spans())
    assert "CheckViolationError" in told
    assert anna.token
    for secret in ("Anna", "anna", "people.example", anna.token, await anna.my_id()):
        assert secret not in told


async def test_what_a_job_asks_of_others_carries_the_trace(shop: Shop, exported: InMemorySpanExporter) -> None:
    sent: dict[str, str] = {}

    async def ask(services: Services) -> int:
        sent.update(tracing.outgoing({"accept": "*/*"}))
        return 0

    await jobs.run(shop.services, Job("asking", lambda _: "", ask))
    span = spans(exported)["job asking"]
    assert span.context
    assert sent["traceparent"].startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


def test_without_tracing_headers_stay_and_nothing_is_imported() -> None:
    headers = {"accept": "*/*"}
    assert tracing.outgoing(headers) is headers
    program = "import server, sys; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
