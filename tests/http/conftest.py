"""A real server process, where ASGI's messages are not enough."""

from __future__ import annotations

from tests.e2e.conftest import service

__all__ = ["service"]
