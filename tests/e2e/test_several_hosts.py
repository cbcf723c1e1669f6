"""Two servers behind nginx, as ops/nginx.conf sets it up: they share limits, subscriptions and jobs, and a release that
restarts one after the other fails no request."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.client import START, Client
from tests.e2e.conftest import HANGS, ROOT, Service, demo_folder, free_port, served, served_postgres
from tests.e2e.test_subscriptions import socket as websocket
from tests.e2e.test_subscriptions import subscribe
from tests.scrapes import parse
from tests.streams import PREFERENCES

PEOPLE = 6
JOB_SECONDS = 12
DELIVERED = 'aclue_job_runs_total{job="deliver_mails",outcome="done"}'
PAGE = {"query": "{ products(first: 100) { nodes { id } } }"}
LIMIT, COST = 8_000, 200  # of a person in a minute; of that page, at least
FAIL_SECONDS = 2.5  # more than fail_timeout: nginx takes the server for dead until then
VARIABLES = {
    "JWT_SECRET": "of the tests alone, long enough for HS256",
    "TRUSTED_PROXIES": "127.0.0.0/8",
    "SHUTDOWN_DELAY": "2",  # as in production
}


def program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        pytest.skip(f"there is no {name} here (Debian: apt-get install {package})")
    return found


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on the port."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + HANGS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, command
                    time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            process.wait(HANGS)


def nginx_conf(folder: Path, port: int, servers: list[int]) -> Path:
    """The shipped file with addresses of this machine."""
    text = (ROOT / "ops/nginx.conf").read_text()
    for number, server in enumerate(servers, 1):
        assert f"server server-{number}:8000" in text
        text = text.replace(f"server server-{number}:8000", f"server 127.0.0.1:{server}")
    assert "listen 8080;" in text
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace("/tmp/nginx", str(folder / "nginx"))
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@dataclass
class Hosts:
    home: Path
    variables: dict[str, str]
    ports: list[int]
    url: str
    services: list[ExitStack] = field(default_factory=list)
    servers: dict[int, Service] = field(default_factory=dict)

    def start(self, number: int) -> Service:
        stack = ExitStack()
        given = {"PORT": str(self.ports[number]), **self.variables}
        service = stack.enter_context(served(self.home, is_forked=False, **given))
        self.services[number : number + 1] = [stack]
        self.servers[number] = service
        return service


@pytest.fixture
def home() -> Iterator[Path]:
    with demo_folder() as folder:
        yield folder


@pytest.fixture
def hosts(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    """Two servers, Postgres and Redis that they share, and nginx before them. Its parameter: more variables."""
    nginx, redis = program("nginx", "nginx-light"), program("redis-server", "redis-server")
    port, redis_port, ports = free_port(), free_port(), [free_port(), free_port()]
    with ExitStack() as stack:
        log_ins = stack.enter_context(served_postgres(home))
        command = [redis, "--bind", "127.0.0.1", "--port", str(redis_port), "--save", "", "--dir", str(tmp_path)]
        stack.enter_context(running(command, redis_port))
        variables = {**VARIABLES, **log_ins, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
        variables |= getattr(request, "param", {})
        found = Hosts(home, variables, ports, f"http://127.0.0.1:{port}")
        stack.callback(lambda: [each.close() for each in found.services])
        found.start(0)
        found.start(1)
        conf = nginx_conf(tmp_path, port, ports)
        stack.enter_context(running([nginx, "-c", str(conf), "-g", "daemon off;"], port))
        yield found


async def test_a_release_that_restarts_one_server_after_the_other_fails_no_request(hosts: Hosts) -> None:
    failures: list[str] = []
    counts = [0] * PEOPLE
    acknowledged = 0
    is_over = asyncio.Event()

    async def person(number: int) -> int:
        """Swipes and asks until the release is over; returns the swipes that were acknowledged."""
        nonlocal acknowledged
        async with httpx.AsyncClient(base_url=hosts.url, timeout=HANGS) as http:
            me = await Client(http).start_session()
            product = (await me.products(first=1))[0]["id"]
            while not is_over.is_set():
                try:
                    await me.swipe(product)
                    acknowledged += 1
                    await me.ask("{ me { preferences { totalSwipes } } }")
                except Exception as error:
                    failures.append(f"{type(error).__name__}: {error}")
                counts[number] += 1
            seen = (await me.ask("{ me { swipes { totalCount } } }"))["me"]["swipes"]["totalCount"]
        return int(seen)

    async def go_on() -> None:
        """Lets everybody ask some times."""
        before = list(counts)
        async with asyncio.timeout(HANGS):
            while any(now < then + 3 for now, then in zip(counts, before, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    people = [asyncio.create_task(person(number)) for number in range(PEOPLE)]
    await go_on()
    for number in range(2):
        await asyncio.to_thread(hosts.services[number].close)
        await go_on()  # the other one serves alone
        await asyncio.to_thread(hosts.start, number)
        await asyncio.sleep(FAIL_SECONDS)
        await go_on()
    is_over.set()
    stored = sum(await asyncio.gather(*people))
    assert failures == []
    assert stored == acknowledged


async def test_a_swipe_at_one_server_notifies_a_subscriber_at_the_other(hosts: Hosts) -> None:
    first, second = hosts.ports
    service = Service(hosts.home, second, None, hosts.home, hosts.home)  # type: ignore[arg-type]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{first}", timeout=HANGS) as http:
        me = await Client(http).start_session()
        product = (await me.products(first=1))[0]["id"]
        async with websocket(service, me.token) as client:
            await subscribe(client, PREFERENCES)
            await me.swipe(product)
            async with asyncio.timeout(HANGS):
                assert '"totalSwipes":1' in str(await client.recv())


@pytest.mark.parametrize("hosts", [{"RATE_LIMIT_COST": str(LIMIT)}], indirect=True)
async def test_a_limit_that_is_used_up_at_one_server_is_used_up_at_the_other(hosts: Hosts) -> None:
    async with httpx.AsyncClient(timeout=HANGS) as http:

        async def ask(port: int, token: str | None) -> httpx.Response:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            return await http.post(f"http://127.0.0.1:{port}/graphql", json=PAGE, headers=headers)

        first, second = hosts.ports
        tokens = []
        for _ in range(2):
            started = (await http.post(f"{hosts.url}/graphql", json={"query": START})).json()
            tokens.append(started["data"]["startSession"]["accessToken"])
        answered = 0
        while (refused := await ask((first, second)[answered % 2], tokens[0])).status_code == 200:
            answered += 1
        assert refused.status_code == 429
        assert answered <= LIMIT // COST, "both together allow no more than one"
        assert [(await ask(port, tokens[0])).status_code for port in (first, second)] == [429, 429]
        assert (await ask(second, tokens[1])).status_code == 200, "nobody else is held up"


@pytest.mark.parametrize("hosts", [{"MAIL_INTERVAL": "1", "METRICS_TOKEN": "m" * 32}], indirect=True)
def test_a_job_runs_once_however_many_servers_there_are_and_goes_on_without_one(hosts: Hosts) -> None:
    def runs(port: int) -> float:
        headers = {"authorization": f"Bearer {'m' * 32}"}
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=HANGS, headers=headers).text
        return parse(text).get(DELIVERED, 0)

    before, started = [runs(port) for port in hosts.ports], time.monotonic()
    time.sleep(JOB_SECONDS)
    after, took = [runs(port) for port in hosts.ports], time.monotonic() - started
    done = sum(after) - sum(before)
    assert JOB_SECONDS / 3 <= done <= took + 2, "each server would have run it once a second"
    hosts.servers[0].stop(signal.SIGKILL)
    alone, deadline = runs(hosts.ports[1]), time.monotonic() + HANGS
    while runs(hosts.ports[1]) < alone + 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
