"""Traces by OpenTelemetry, with the extra `tracing`: docs/tracing.md. Without TRACING, `current` is None, nothing of
OpenTelemetry is imported, and each place that would make a span costs one comparison.

No span has a text of a request, an id of a person, or the message of an error, which may quote either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

T = TypeVar("T")
Attributes = Mapping[str, str | int]

MAX_STATEMENT = 2_000  # characters


class Tracing:
    """Makes spans and exports them in the background. The exporter reads the variables of OpenTelemetry (OTEL_…)."""

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": "aclue"}))
        processor = SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(OTLPSpanExporter())
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("aclue")
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = {kind.name.lower(): kind for kind in SpanKind}
        self._current_span = get_current_span
        self._failed = Status(StatusCode.ERROR)

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        kind: str = "internal",
        attributes: Attributes | None = None,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> Iterator[Span]:
        """A span around the block. `kind`: internal, server or client. It continues the trace of the `traceparent` in
        these headers, else the current one."""
        parent = None
        if headers is not None:
            parent = self._propagator.extract(
                {
                    name.decode("latin-1"): headers[name].decode("latin-1")
                    for name in (b"traceparent", b"tracestate")
                    if name in headers
                }
            )
        with self._tracer.start_as_current_span(
            name,
            parent,
            self._kinds[kind],
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._failed)
                raise

    async def traced(self, name: str, work: Awaitable[T], describe: Callable[[T], Attributes]) -> T:
        """Awaits the work in a span; `describe` gives attributes of its result."""
        with self.span(name) as span:
            result = await work
            span.set_attributes(describe(result))
            return result

    async def statement(self, sql: str, rows: Awaitable[list[Any]]) -> list[Any]:
        """Awaits the rows of a statement, whose values are parameters, in a span."""
        attributes = {"db.system.name": "postgresql", "db.query.text": sql[:MAX_STATEMENT]}
        with self.span("SQL", "client", attributes) as span:
            found = await rows
            span.set_attribute("db.response.returned_rows", len(found))
            return found

    def annotate(self, attributes: Attributes) -> None:
        """Adds attributes to the current span."""
        self._current_span().set_attributes(attributes)

    def inject(self, headers: dict[str, str]) -> None:
        """Adds `traceparent` of the current span."""
        self._propagator.inject(headers)

    def close(self) -> None:
        """Exports what is left. Blocks."""
        self._provider.shutdown()


current: Tracing | None = None


def start() -> None:
    """Switches tracing on for this process."""
    global current
    current = Tracing()


def stop() -> None:
    """Switches it off; exports what is left, which blocks."""
    global current
    last, current = current, None
    if last is not None:
        last.close()


def statement(sql: str, rows: Awaitable[list[Any]]) -> Awaitable[list[Any]]:
    """The rows of a statement, in a span if there is tracing."""
    return rows if current is None else current.statement(sql, rows)


def annotate(attributes: Attributes) -> None:
    """Adds attributes to the current span, if there is tracing."""
    if current is not None:
        current.annotate(attributes)


def outgoing(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers of a request to another service, with `traceparent` if there is a trace."""
    if current is None:
        return headers
    traced = dict(headers)
    current.inject(traced)
    return traced
