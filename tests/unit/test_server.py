"""What `aclue serve` tells the HTTP server."""

from __future__ import annotations

import pytest
import uvicorn

import server
import settings as settings_module


@pytest.mark.parametrize(("given", "seconds"), [({}, 75), ({"KEEP_ALIVE": "2"}, 2)])
def test_idle_connections_stay_open_for_keep_alive(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seconds: int
) -> None:
    configs: list[uvicorn.Config] = []

    class Server:
        started = True

        def __init__(self, config: uvicorn.Config, banner: str) -> None:
            configs.append(config)

        def run(self) -> None:
            pass

    monkeypatch.setattr(server, "_Server", Server)
    monkeypatch.setattr(server, "create_app", lambda *_, **__: None)
    monkeypatch.setattr(server, "tune_gc", lambda: None)
    server.run(settings_module.load(given), "", "secret", "")
    assert [config.timeout_keep_alive for config in configs] == [seconds]
