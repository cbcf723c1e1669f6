"""The weekly check of links: what it requests of whom, what it deactivates, and what brings an offer back."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from db import import_runs
from db.import_runs import UndoRefused
from db.product_imports import ImportReport, import_products
from domain.feed_mappings import parse_mapping
from services import link_checks
from settings import Settings, load
from tests.conftest import Shop
from tests.feed_server import Answer, FeedServer, Handler, feed_server, make_certificate

GTIN = "9520000001001"
HOSTS = ("links.example", "www.links.example", "rival.example", "elsewhere.example")
OFFERS = """
select p.external_id, o.is_active, o.link_failures, o.link_checked_at is not null as was_checked
from product_offers o join products p on p.id = o.id where o.retailer_id in (
  select id from retailers where slug in ('links', 'rival')) order by 1
"""
LEADING = """
select p.is_active, p.price_minor, r.slug
from products p join retailers r on r.id = p.seller_id where p.external_id = 'a'
"""


def mapping(shop: str, network: str = "direct") -> Any:
    return parse_mapping(f"""
format = "jsonl"
[fields]
external_id = "id"
name = "name"
price = "price"
affiliate_url = "url"
gtin = "gtin"
[constants]
currency = "GBP"
[retailer]
slug = "{shop}"
network = "{network}"
domain = "{shop}.example"
""")


def says(status: int, **headers: str) -> Answer:
    return lambda handler: handler.answer(status, **headers)


class Checks:
    """Shops whose pages are on a local server, and the job that checks the links to them."""

    def __init__(self, shop: Shop, server: FeedServer, folder: Path) -> None:
        self.shop, self.server = shop, server
        self._feed = folder / "feed.jsonl"

    async def load(self, *items: dict[str, Any], shop: str = "links", **options: Any) -> ImportReport:
        self._feed.write_text(
            "".join(json.dumps({"name": f"Thing {i['id']}", "price": "10.00", **i}) + "\n" for i in items)
        )
        return await import_products(self.shop.owner, self._feed, mapping(shop, **options))

    async def run(self) -> int:
        """A week later: what the job claims."""
        await self.shop.owner.execute("update product_offers set link_checked_at = link_checked_at - interval '8 days'")
        return await link_checks.run(self.shop.services)

    async def offers(self) -> dict[str, tuple[bool, int]]:
        return {r["external_id"]: (r["is_active"], r["link_failures"]) for r in await self.shop.owner.fetch(OFFERS)}

    async def checked(self) -> set[str]:
        return {r["external_id"] for r in await self.shop.owner.fetch(OFFERS) if r["was_checked"]}

    def asked(self) -> list[str]:
        return [f"{method} {path}" for method, (path, _) in zip(self.server.methods, self.server.requests, strict=True)]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, check_links=True, allow_private_sources=True)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedServer]:
    """A server that is all the shops."""
    certificate = make_certificate(tmp_path, *HOSTS)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(link_checks, "PAUSE_SECONDS", 0.0)
    with feed_server(certificate) as running:
        resolve = socket.getaddrinfo

        def local(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if host in HOSTS:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", running.server_port))]
            return resolve(host, port, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", local)
        yield running


@pytest.fixture
async def checks(shop: Shop, server: FeedServer, tmp_path: Path) -> Checks:
    await shop.owner.execute("update retailers set domain = null")  # of the catalogue that every shop here has
    return Checks(shop, server, tmp_path)


def link(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "url": f"https://links.example/{id}", **more}


async def test_the_third_404_in_a_row_deactivates_an_offer(checks: Checks) -> None:
    await checks.load(link("a"), link("b"))
    checks.server.answers |= {"/a": says(404), "/b": says(200)}
    for failures in (1, 2):
        assert await checks.run() == 2
        assert await checks.offers() == {"a": (True, failures), "b": (True, 0)}
    await checks.run()
    assert await checks.offers() == {"a": (False, 3), "b": (True, 0)}
    assert await checks.shop.owner.fetchval("select is_active from products where external_id = 'a'") is False
    assert checks.asked().count("HEAD /b") == 3
    assert "GET /b" not in checks.asked()
    assert checks.asked().count("GET /a") == 3  # HEAD alone proves nothing


async def test_an_offer_is_checked_once_a_week(checks: Checks) -> None:
    await checks.load(link("a"))
    checks.server.answers["/a"] = says(200)
    assert await checks.run() == 1
    assert await link_checks.run(checks.shop.services) == 0
    await checks.shop.owner.execute("update product_offers set link_checked_at = now() - interval '6 days'")
    assert await link_checks.run(checks.shop.services) == 0
    assert checks.asked() == ["HEAD /a"]


@pytest.mark.parametrize(
    ("status", "failures"),
    [(404, 3), (410, 3), (200, 0), (403, 0), (302, 0), (429, 2), (500, 2), (503, 2)],
)
async def test_what_an_answer_means(checks: Checks, status: int, failures: int) -> None:
    await checks.load(link("a"))
    await checks.shop.owner.execute("update product_offers set link_failures = 2")
    checks.server.answers["/a"] = says(status)
    await checks.run()
    assert await checks.offers() == {"a": (failures < 3, failures)}
    assert await checks.checked() == {"a"}


async def test_a_server_that_is_slow_or_hangs_up_says_nothing(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_checks, "REQUEST_SECONDS", 0.3)
    await checks.load(link("a"), link("b"))
    await checks.shop.owner.execute("update product_offers set link_failures = 2")
    checks.server.answers |= {"/a": lambda _: time.sleep(0.6), "/b": lambda h: h.wfile.close()}
    await checks.run()
    assert await checks.offers() == {"a": (True, 2), "b": (True, 2)}


async def test_a_server_that_refuses_head_is_asked_by_get(checks: Checks) -> None:
    await checks.load(link("a"))
    checks.server.answers["/a"] = lambda h: h.answer(405 if h.command == "HEAD" else 200, b"x" * 100)
    await checks.run()
    assert checks.asked() == ["HEAD /a", "GET /a"]
    assert await checks.offers() == {"a": (True, 0)}
    assert all(h["user-agent"].startswith("aclue-link-check (+http") for _, h in checks.server.requests)


async def test_redirects_are_followed_within_the_shop_alone(checks: Checks) -> None:
    await checks.load(link("a"), link("b"), link("c"))
    checks.server.answers |= {
        "/a": says(301, location="https://www.links.example/gone"),
        "/b": says(302, location="https://elsewhere.example/gone"),
        "/c": says(302, location="https://go.links.example/gone"),
        "/gone": says(404),
    }
    await checks.shop.owner.execute("update retailers set tracking_hosts = '{go.links.example}' where slug = 'links'")
    await checks.run()
    assert await checks.offers() == {"a": (True, 1), "b": (True, 0), "c": (True, 0)}
    assert checks.asked().count("HEAD /gone") == 1


async def test_a_tracking_link_is_never_requested(checks: Checks) -> None:
    awin = "https://www.awin1.com/cread.php?awinmid=1&awinaffid=2&ued="
    await checks.load(
        {"id": "a", "url": awin + "https%3A%2F%2Flinks.example%2Fa%3Fx%3D1"},
        {"id": "b", "url": "https://www.awin1.com/pclick.php?p=1&a=2&m=3"},
        network="awin",
    )
    checks.server.answers["/a?x=1"] = says(404)
    await checks.run()
    assert checks.asked() == ["HEAD /a?x=1", "GET /a?x=1"]
    assert await checks.offers() == {"a": (True, 1), "b": (True, 0)}


async def test_a_product_stays_on_sale_while_another_shop_has_it(checks: Checks) -> None:
    await checks.load(link("a", gtin=GTIN, price="5.00"))
    await checks.load({"id": "r", "url": "https://rival.example/r", "gtin": GTIN, "price": "7.00"}, shop="rival")
    checks.server.answers |= {"/a": says(410), "/r": says(200)}
    assert tuple(await checks.shop.owner.fetchrow(LEADING)) == (True, 500, "links")
    for _ in range(3):
        await checks.run()
    assert tuple(await checks.shop.owner.fetchrow(LEADING)) == (True, 700, "rival")
    checks.server.answers["/a"] = says(200)
    await checks.run()
    assert tuple(await checks.shop.owner.fetchrow(LEADING)) == (True, 500, "links")


async def broken(checks: Checks, *more: dict[str, Any]) -> ImportReport:
    report = await checks.load(link("a"), *more)
    checks.server.answers["/a"] = says(404)
    await checks.shop.owner.execute("update product_offers set link_failures = 2")
    await checks.run()
    assert (await checks.offers())["a"] == (False, 3)
    return report


async def test_a_link_that_works_again_activates_its_offer(checks: Checks) -> None:
    await broken(checks)
    await checks.run()
    assert await checks.offers() == {"a": (False, 3)}
    checks.server.answers["/a"] = says(200)
    await checks.run()
    assert await checks.offers() == {"a": (True, 0)}


async def test_an_import_with_the_same_link_leaves_the_offer_inactive(checks: Checks) -> None:
    await broken(checks)
    report = await checks.load(link("a"))
    assert (report.unchanged, report.updated, report.reactivated) == (1, 0, 0)
    report = await checks.load(link("a", price="8.00"))
    assert (report.unchanged, report.updated, report.reactivated) == (0, 1, 0)
    assert await checks.offers() == {"a": (False, 3)}


async def test_an_import_with_another_link_activates_the_offer(checks: Checks) -> None:
    await broken(checks)
    await checks.load(link("a") | {"url": "https://links.example/new"})
    assert await checks.offers() == {"a": (True, 0)}
    assert await checks.checked() == set()


async def test_a_working_link_brings_back_nothing_that_the_feed_has_dropped(checks: Checks) -> None:
    others = [link(name) for name in "bcdefg"]
    checks.server.answers |= {f"/{name}": says(200) for name in "bcdefg"}
    await broken(checks, *others)
    dropped = await checks.load(*others)
    assert (await checks.offers())["a"] == (False, 0)
    checks.server.answers["/a"] = says(200)
    await checks.run()
    assert (await checks.offers())["a"] == (False, 0)
    assert dropped.run is not None


async def test_what_the_check_deactivated_is_no_import_that_can_be_taken_back(checks: Checks) -> None:
    report = await broken(checks)
    assert report.run is not None
    with pytest.raises(UndoRefused, match="written since"):
        await import_runs.undo(checks.shop.owner, report.run)
    assert await checks.offers() == {"a": (False, 3)}


async def test_taking_back_a_changed_link_brings_back_that_it_was_broken(checks: Checks) -> None:
    await broken(checks)
    report = await checks.load(link("a") | {"url": "https://links.example/new"})
    assert report.run is not None
    await import_runs.undo(checks.shop.owner, report.run)
    assert await checks.offers() == {"a": (False, 3)}


async def test_administrators_read_why(checks: Checks) -> None:
    await broken(checks)
    entry = await checks.shop.owner.fetchrow("select * from audit_log where table_name = 'public.product_offers'")
    assert entry["role"] == "service_role"
    changes = json.loads(entry["changes"])
    assert changes["is_active"] == {"old": True, "new": False}
    assert changes["link_failures"] == {"old": 2, "new": 3}
    await checks.shop.services.system_log.flush()
    noted = await checks.shop.owner.fetchrow("select * from system_logs where component = 'link_checks'")
    assert (noted["level"], json.loads(noted["context"])["count"]) == ("warning", 1)


async def test_an_unpublished_product_stays_so_when_its_link_works_again(checks: Checks) -> None:
    await broken(checks)
    await checks.shop.owner.execute("update products set edited = '{unpublished}' where external_id = 'a'")
    checks.server.answers["/a"] = says(200)
    await checks.run()
    assert await checks.shop.owner.fetchval("select is_active from products where external_id = 'a'") is False


async def test_a_link_that_an_import_changes_meanwhile_is_not_judged(checks: Checks) -> None:
    await checks.load(link("a"))
    await checks.shop.owner.execute("update product_offers set link_failures = 2")
    loop = asyncio.get_running_loop()

    def change(handler: Handler) -> None:
        changed = checks.load(link("a") | {"url": "https://links.example/new"})
        asyncio.run_coroutine_threadsafe(changed, loop).result()
        checks.server.answers["/a"] = says(404)
        handler.answer(404)

    checks.server.answers["/a"] = change
    await checks.run()
    assert await checks.offers() == {"a": (True, 0)}


async def test_several_servers_check_each_offer_once_and_a_shop_by_one_request_at_a_time(checks: Checks) -> None:
    names = [f"n{number}" for number in range(20)]
    await checks.load(*map(link, names))
    now: list[str] = []
    most = 0

    def slow(handler: Handler) -> None:
        nonlocal most
        now.append(handler.path)
        most = max(most, len(now))
        time.sleep(0.01)
        now.remove(handler.path)
        handler.answer(200)

    checks.server.answers |= {f"/{name}": slow for name in names}
    claimed = await asyncio.gather(*(link_checks.run(checks.shop.services) for _ in range(5)))
    assert sorted(claimed) == [0, 0, 0, 0, 20]
    assert sorted(checks.asked()) == sorted(f"HEAD /{name}" for name in names)
    assert most == 1


async def test_a_shop_that_is_being_checked_delays_no_other(checks: Checks) -> None:
    await checks.load(link("a"))
    checks.server.answers |= {"/a": says(200), "/b": says(200), "/r": says(200)}
    assert await link_checks.run(checks.shop.services) == 1
    await checks.load({"id": "r", "url": "https://rival.example/r"}, shop="rival")
    await checks.load(link("a"), link("b"))
    assert await link_checks.run(checks.shop.services) == 1
    assert checks.asked() == ["HEAD /a", "HEAD /r"]
    await checks.shop.owner.execute("update product_offers set link_checked_at = now() - interval '401 seconds'")
    await checks.shop.owner.execute("update product_offers set link_checked_at = null where affiliate_url like '%/b'")
    assert await link_checks.run(checks.shop.services) == 1
    assert checks.asked()[2:] == ["HEAD /b"]


async def test_an_overloaded_shop_is_left_alone_and_its_offers_stay_due(checks: Checks) -> None:
    await checks.load(link("a"), link("b"), link("c"))
    checks.server.answers |= dict.fromkeys(("/a", "/b", "/c"), says(503))
    assert await checks.run() == 3
    assert len(checks.asked()) == len(await checks.checked()) == 1


async def test_a_check_that_is_cut_short_leaves_its_offers_due(checks: Checks) -> None:
    await checks.load(link("a"), link("b"))
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(handler: Handler) -> None:
        loop.call_soon_threadsafe(began.set)
        time.sleep(0.5)
        handler.answer(200)

    checks.server.answers |= {"/a": hang, "/b": hang}
    working = asyncio.create_task(link_checks.run(checks.shop.services))
    await began.wait()
    assert await checks.checked() == {"a", "b"}
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert await checks.checked() == set()


async def test_offers_that_an_import_has_locked_are_left_for_later(checks: Checks) -> None:
    await checks.load(link("a"), link("b"))
    checks.server.answers |= {"/a": says(200), "/b": says(200)}
    async with checks.shop.owner.transaction():
        await checks.shop.owner.execute(
            "select from product_offers where id = (select id from products where external_id = 'a') for update"
        )
        assert await link_checks.run(checks.shop.services) == 1
    assert await checks.checked() == {"b"}


async def test_a_private_address_is_not_requested(checks: Checks) -> None:
    await checks.load(link("a"))
    services = checks.shop.services
    strict = msgspec.structs.replace(services.settings, allow_private_sources=False)
    await link_checks.run(dataclasses.replace(services, settings=strict))
    assert checks.asked() == []
    assert await checks.checked() == {"a"}


async def test_nothing_is_requested_while_the_check_is_off(checks: Checks) -> None:
    await checks.load(link("a"))
    services = checks.shop.services
    off = msgspec.structs.replace(services.settings, check_links=False)
    assert await link_checks.run(dataclasses.replace(services, settings=off)) == 0
    assert await checks.checked() == set()


def test_the_check_is_on_in_production_and_off_in_development() -> None:
    assert load({}).check_links is False
    assert load({"CHECK_LINKS": "on"}).check_links is True
    given = {"ENVIRONMENT": "production", "JWT_SECRET": "x" * 32, "DATABASE_URL": "postgresql://a:b@c/d"}
    assert load(given).check_links is True


async def test_shops_with_more_offers_than_can_be_checked_keep_out_no_other(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two offers a round: those of the large shop were all there first, and none was ever checked."""
    monkeypatch.setattr(link_checks, "MAX_OF_SHOP", 2)
    monkeypatch.setattr(link_checks, "MAX_OFFERS", 2)
    monkeypatch.setattr(link_checks, "LEASE_SECONDS", 0)
    await checks.load(*(link(f"large-{number}") for number in range(9)))
    for shop in ("rival", "elsewhere"):
        await checks.load({"id": shop, "url": f"https://{shop}.example/{shop}"}, shop=shop)
    for _ in range(3):
        await link_checks.run(checks.shop.services)
    assert await checks.shop.owner.fetchval(
        "select array_agg(distinct r.slug::text order by r.slug::text) from product_offers o"
        " join retailers r on r.id = o.retailer_id where o.link_checked_at is not null"
    ) == ["elsewhere", "links", "rival"]
