"""When people wrote last, in Redis: for reads from replicas."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from services.last_writes import LastWrites
from tests.redis_server import redis_server


@pytest.mark.parametrize("value", ["", "soon", "\x00"])
async def test_what_is_no_time_means_the_primary(tmp_path: Path, value: str) -> None:
    with redis_server(tmp_path) as (url, _):
        writes = LastWrites(url, max_lag=5)
        await writes.note("anna", 1.0)
        assert await writes.last("anna") == 1.0
        await writes._redis.set("aclue:wrote:anna", value)
        assert await writes.last("anna") == math.inf
        assert await writes.last("ben") == -math.inf
        await writes.close()
