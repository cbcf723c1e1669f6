"""Links of feeds: which hosts are accepted, and what an import says of a shop's links."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import reference
from db.product_imports import ImportReport, import_products
from db.queries import QUERIES
from domain.feed_mappings import ImportFailed, parse_mapping

MAPPING = """
format = "csv"
[fields]
external_id = "id"
name = "id"
affiliate_url = "link"
price = "price"
retailer = "shop"
[constants]
currency = "GBP"
"""
AWIN = "https://www.awin1.com/cread.php?awinmid=1&awinaffid=2&ued=https%3A%2F%2F{}%2Fp"


class Importer:
    """Imports links of a shop, or of several: each a row of its own."""

    def __init__(self, owner: asyncpg.Connection[Any], folder: Path) -> None:
        self.owner = owner
        self._feed = folder / "feed.csv"
        self._rejects = folder / "rejects.tsv"

    async def load(self, links: dict[str, str], retailer: str, **options: Any) -> ImportReport:
        with self._feed.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("id", "link", "price", "shop"))
            rows.writerows((id, link, "5.00", id.partition(" ")[0]) for id, link in links.items())
        mapping = parse_mapping(f"{MAPPING}\n[retailer]\n{retailer}")
        return await import_products(self.owner, self._feed, mapping, rejects_path=self._rejects, **options)

    def refused(self) -> dict[str, str]:
        """Reasons by id."""
        with self._rejects.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        assert {row["field"] for row in rows} <= {"affiliate_url"}
        return {row["id"]: row["reason"] for row in rows}

    async def links(self) -> dict[str, str]:
        rows = await self.owner.fetch("select external_id, affiliate_url from products where is_active")
        return dict(rows)

    async def shop(self, slug: str = "a-shop") -> asyncpg.Record:
        row = await self.owner.fetchrow("select * from retailers where slug = $1", slug)
        assert row is not None
        return row


@pytest.fixture
def importer(owner: asyncpg.Connection[Any], tmp_path: Path) -> Importer:
    return Importer(owner, tmp_path)


DIRECT = 'slug = "a-shop"\nnetwork = "direct"\ndomain = "a-shop.example"'


async def test_links_lead_to_the_shop_or_to_its_network(importer: Importer) -> None:
    report = await importer.load(
        {
            "ok1": "https://a-shop.example/p/1",
            "ok2": "https://www.a-shop.example/p/2",
            "ok3": "https://DE.A-SHOP.EXAMPLE/p/3",
            "no4": "https://foreign.example/p",
            "no5": "https://nota-shop.example/p",
            "no6": "https://a-shop.example.foreign.example/p",
            "no7": "https://a-shop.example@foreign.example/p",
            "no8": "//foreign.example/p",
            "no9": "https://foreign.example\\@a-shop.example/p",
            "no10": "https://a-shоp.example/p",
            "no11": "https://www.awin1.com/pclick.php?p=1&a=2&m=3",
            "no12": "https://a-shop.example:8443/p",
            "no13": "https://a-shop.example./p",
        },
        DIRECT,
    )
    assert (report.read, report.inserted, report.rejected, report.untracked) == (13, 3, 10, 0)
    assert set(await importer.links()) == {"ok1", "ok2", "ok3"}
    reasons = importer.refused()
    assert set(reasons) == {f"no{number}" for number in range(4, 14)}
    assert "foreign.example is neither of the shop (a-shop.example)" in reasons["no4"]


async def test_international_shops_work_in_either_spelling(importer: Importer) -> None:
    report = await importer.load(
        {
            "m1": "https://d20-müller.example/p/1",
            "m2": "https://xn--d20-mller-u9a.example/p/2?q=ü",
            "m3": "https://d20-muller.example/p/3",
        },
        'slug = "a-shop"\ndomain = "https://D20-Müller.example/"',
    )
    assert (report.inserted, report.rejected) == (2, 1)
    assert await importer.links() == {
        "m1": "https://xn--d20-mller-u9a.example/p/1",
        "m2": "https://xn--d20-mller-u9a.example/p/2?q=%C3%BC",
    }
    assert (await importer.shop())["domain"] == "xn--d20-mller-u9a.example"


async def test_a_refused_link_still_names_its_product(importer: Importer) -> None:
    links = {f"p{number}": f"https://a-shop.example/{number}" for number in range(4)}
    await importer.load(links, DIRECT)
    report = await importer.load({**links, "p1": "https://foreign.example/"}, DIRECT)
    assert (report.rejected, report.unchanged, report.deactivated) == (1, 3, 0)
    assert await importer.links() == links


async def test_of_two_lines_of_a_product_the_first_with_a_valid_link_counts(importer: Importer) -> None:
    feed = "id,link,price\np,https://foreign.example/,5.00\np,https://a-shop.example/,5.00\n"
    importer._feed.write_text(feed)
    mapping = parse_mapping(f"{MAPPING}\n[retailer]\n{DIRECT}".replace('retailer = "shop"\n', ""))
    report = await import_products(importer.owner, importer._feed, mapping)
    assert (report.rejected, report.inserted) == (1, 1)
    assert await importer.links() == {"p": "https://a-shop.example/"}


async def test_the_shops_own_links_are_not_tracked_and_counted(importer: Importer) -> None:
    links = {"t": AWIN.format("a-shop.example"), "o": "https://a-shop.example/p", "f": AWIN.format("foreign.example")}
    report = await importer.load(links, 'slug = "a-shop"\nnetwork = "awin"\ndomain = "a-shop.example"')
    assert (report.inserted, report.rejected, report.untracked) == (2, 1, 1)
    assert "it leads to foreign.example" in importer.refused()["f"]


async def test_a_shop_without_a_domain_gets_that_of_most_destinations(importer: Importer) -> None:
    links = {
        "1": AWIN.format("www.a-shop.example"),
        "2": AWIN.format("de.a-shop.example"),
        "3": "https://www.awin1.com/pclick.php?p=1&a=2&m=3",
        "4": AWIN.format("foreign.example"),
        "5": "https://a-shop.example/",
    }
    retailer = 'slug = "a-shop"\nnetwork = "awin"'
    report = await importer.load(links, retailer)
    assert (await importer.shop())["domain"] == "a-shop.example"
    assert any("a-shop.example" in note and "domain" in note for note in report.notes)
    assert set(importer.refused()) == {"4"}
    again = await importer.load(links, retailer)
    assert (again.unchanged, again.written, again.notes) == (4, 0, ())


async def test_a_network_of_another_shop_is_nobodys_domain(importer: Importer) -> None:
    report = await importer.load({"1": AWIN.format("a-shop.example")}, 'slug = "a-shop"\nnetwork = "direct"')
    assert report.inserted == 0
    assert (await importer.shop())["domain"] is None
    assert "has no domain" in importer.refused()["1"]


async def test_each_shop_of_a_feed_has_links_of_its_own(importer: Importer) -> None:
    report = await importer.load(
        {
            "one 1": AWIN.format("one.example"),
            "two 1": AWIN.format("two.example"),
            "two 2": AWIN.format("two.example"),
            "two 3": AWIN.format("one.example"),
        },
        'network = "awin"',
    )
    assert (report.inserted, set(importer.refused())) == (3, {"two 3"})
    assert [(await importer.shop(slug))["domain"] for slug in ("one", "two")] == ["one.example", "two.example"]


async def test_what_a_mapping_says_of_links_is_stored_and_said_when_it_changes(importer: Importer) -> None:
    links = {"1": "https://go.tracker.example/?url=https%3A%2F%2Fa-shop.example"}
    first = 'tracking_hosts = ["Tracker.example"]\nclick_parameter = "partner"\n'
    report = await importer.load(links, f"{DIRECT}\n{first}")
    assert (report.inserted, report.notes) == (1, ())
    shop = await importer.shop()
    assert (shop["tracking_hosts"], shop["click_parameter"]) == (["tracker.example"], "partner")
    report = await importer.load(links, f'{DIRECT}\ntracking_hosts = ["tracker.example"]\nclick_parameter = "aff"')
    assert report.notes == ("click_parameter of a-shop was partner and is aff",)
    assert (await importer.load(links, DIRECT)).notes == ()
    assert (await importer.shop())["click_parameter"] == "aff"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ('domain = "1.2.3.4"', "no valid host name"),
        ('domain = "a-shоp.example"', "mixes scripts"),
        ('tracking_hosts = ["com"]', "no valid host name"),
        ('click_parameter = "a=b"', "click_parameter"),
        ('tracking_ids = {feed = "a-21"}', "default"),
        ('tracking_ids = {default = "a-21", feed = "a-21"}', "one id for two placements"),
        ('tracking_ids = {default = "a-21", "a?b" = "b-21"}', "no placement"),
        ("tracking_ids = {default = \"d-21\", " + ", ".join(f'p{i} = "p{i}-21"' for i in range(100)) + "}", "100"),
    ],
)  # fmt: skip
async def test_wrong_keys_are_refused(importer: Importer, wrong: str, says: str) -> None:
    with pytest.raises(ImportFailed, match=says):
        await importer.load({}, f'slug = "a-shop"\nnetwork = "amazon"\n{wrong}')


AMAZON = 'slug = "a-shop"\nnetwork = "amazon"\ndomain = "a-shop.example"\n'
ITEM = {"1": "https://www.amazon.co.uk/dp/B000000001?tag=feed-21"}


async def test_amazon_needs_tracking_ids_and_the_import_says_so(importer: Importer) -> None:
    report = await importer.load(ITEM, AMAZON)
    assert any("no tracking_ids" in note for note in report.notes)
    ids = 'tracking_ids = {default = "ours-21", "/Gift-Finder/" = "finder-21"}'
    assert (await importer.load(ITEM, AMAZON + ids)).notes == ()
    assert await placements(importer) == {("default", "ours-21", True), ("gift-finder", "finder-21", True)}


async def placements(importer: Importer) -> set[tuple[str, str, bool]]:
    rows = await importer.owner.fetch("select name, tracking_id, is_current from placements")
    return {tuple(row) for row in rows}


async def test_earlier_tracking_ids_stay_for_sales_reported_later(importer: Importer) -> None:
    await importer.load(ITEM, AMAZON + 'tracking_ids = {default = "old-21"}')
    await importer.load(ITEM, AMAZON + 'tracking_ids = {default = "new-21"}')
    assert await placements(importer) == {("default", "old-21", False), ("default", "new-21", True)}
    await importer.load(ITEM, AMAZON + 'tracking_ids = {default = "old-21"}')
    assert await placements(importer) == {("default", "old-21", True), ("default", "new-21", False)}


async def test_a_tracking_id_is_of_one_placement_whatever_the_shop(importer: Importer) -> None:
    await importer.load(ITEM, AMAZON + 'tracking_ids = {default = "ours-21"}')
    other = AMAZON.replace("a-shop", "b-shop")
    await importer.load(ITEM, other + 'tracking_ids = {default = "ours-21"}')
    with pytest.raises(ImportFailed, match="ours-21 belongs to another placement"):
        await importer.load(ITEM, other + 'tracking_ids = {default = "d-21", feed = "ours-21"}')


async def test_tracking_ids_are_for_networks_that_forbid_ids_of_visitors(importer: Importer) -> None:
    with pytest.raises(ImportFailed, match="such as amazon"):
        await importer.load({"1": "https://a-shop.example/"}, DIRECT + '\ntracking_ids = {default = "a-21"}')
    with pytest.raises(ImportFailed, match="can carry"):
        await importer.load(ITEM, AMAZON + 'tracking_ids = {default = "a 21"}')


async def test_a_shop_has_at_most_a_hundred_placements_at_a_time(importer: Importer) -> None:
    await importer.load(ITEM, AMAZON)
    add = "insert into placements (retailer_id, network, tracking_id, name) select id, 'amazon', $1, $2 from retailers"
    for number in range(100):
        await importer.owner.execute(add, f"t{number}-21", f"p{number}")
    with pytest.raises(asyncpg.CheckViolationError, match="at most 100"):
        await importer.owner.execute(add, "one-more-21", "one-more")


async def test_a_rule_that_would_cut_clicks_is_refused_by_the_database(owner: asyncpg.Connection[Any]) -> None:
    add = "insert into network_link_rules (network, position, place, parameter, max_length, characters) values"
    for values in ("('cj', 9, 'query', 'sid', 25, 'a-z0-9')", "('cj', 9, 'query', 'sid', 64, 'A-Z0-9')"):
        with pytest.raises(asyncpg.CheckViolationError, match="carries_clicks"):
            await owner.execute(f"{add} {values}")


async def test_rows_of_an_operator_survive_loads_of_the_reference_data(owner: asyncpg.Connection[Any]) -> None:
    put, rule = (QUERIES[f"affiliate_networks.{block}"].sql for block in ("put", "put_rule"))
    await owner.execute(put, "kestrel", "Kestrel", ["kestrel.example"], None)
    await owner.execute(put, "awin", None, ["awin.example"], None)
    await owner.fetchval(rule, "kestrel", None, "*", "*", "query", "sub", [], "click", [], 64, "A-Za-z0-9")
    await owner.execute("update network_link_rules set max_length = 40 where network = 'cj' and position = 1")
    await owner.execute("delete from network_link_rules where network = 'ebay'")
    loaded = {found.table: found for found in await reference.load(owner)}
    assert loaded["networks"].kept == ("awin", "kestrel")
    assert loaded["link_rules"].kept == ("cj 1", "kestrel 1")
    assert loaded["link_rules"].added == ("ebay 1",)
    hosts = await owner.fetchval("select tracking_hosts from affiliate_networks where code = 'awin'")
    assert hosts == ["awin1.com", "zenaps.com", "awin.example"]


async def test_a_database_of_an_earlier_release_gets_rules_and_domains(importer: Importer) -> None:
    owner = importer.owner
    await importer.load(
        {"1": AWIN.format("www.a-shop.example"), "2": "https://a-shop.example/"}, 'slug = "a-shop"\nnetwork = "awin"'
    )
    await owner.execute("delete from network_link_rules; update retailers set domain = null")
    await owner.execute("update affiliate_networks set tracking_hosts = '{}', source = 'admin' where code = 'sovrn'")
    await owner.execute("select set_config('aclue.loads_reference', 'on', false)")
    await owner.execute(
        "update affiliate_networks set tracking_hosts = '{}', source = 'reference' where code <> 'sovrn'"
    )
    await owner.execute("select set_config('aclue.loads_reference', '', false)")
    assert await reference.load_missing(owner)
    assert (await importer.shop())["domain"] == "a-shop.example"
    assert await owner.fetchval("select count(*) from network_link_rules") == len(
        reference.read(reference.NETWORK_TABLES[1])
    )
    assert not await reference.load_missing(owner)
