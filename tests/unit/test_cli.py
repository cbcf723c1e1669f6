"""What `aclue serve` tells the HTTP server."""

from __future__ import annotations

import pytest
import uvicorn

import cli
import settings as settings_module
from db.embedded import Dsns


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

    monkeypatch.setattr(cli, "_Server", Server)
    monkeypatch.setattr(cli, "create_app", lambda *_: None)
    monkeypatch.setattr(cli, "tune_gc", lambda: None)
    cli._run_server(settings_module.load(given), Dsns(api="", owner=None), "secret", "")
    assert [config.timeout_keep_alive for config in configs] == [seconds]
