"""Small files of every format, as shops send them, read as an import reads them: which products come in, and what is
refused and why."""

from __future__ import annotations

import gzip
import io
import zipfile
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.feed_files import opened
from db.feed_rows import STAGING_COLUMNS, FeedRows
from db.product_imports import MAPPINGS, READERS
from domain.feed_mappings import ImportFailed, Mapping, Shop, parse_mapping

SHOP = Shop(slug="s", domain="s.example")
AT = "https://s.example"
HEAD = "id,title,price,link"


@dataclass
class Sample:
    """`fields` and `top`: lines of the mapping. `names`: by id, the value of each of `columns`; `refused`: the fields
    at fault, by id, those of values that were only dropped too."""

    name: str
    content: bytes | str
    expected: dict[str, Any]
    refused: dict[str, str] = field(default_factory=dict)
    format: str = "csv"
    top: str = ""
    fields: str = ""
    column: str = "name"
    fault: int | None = None
    below: str = ""


def mapping(sample: Sample) -> Mapping:
    if (MAPPINGS / f"{sample.format}.toml").exists():
        return parse_mapping((MAPPINGS / f"{sample.format}.toml").read_text(), SHOP)
    fields = {"external_id": "id", "name": "title", "price": "price", "affiliate_url": "link"}
    named = [f'{column} = "{name}"' for column, name in fields.items() if f"\n{column} =" not in f"\n{sample.fields}"]
    return parse_mapping(
        "\n".join([f'format = "{sample.format}"', sample.top, "[fields]", *named, sample.fields, sample.below])
        + '\n[retailer]\nslug = "s"\nnetwork = "direct"\n'
    )


def lines(*rows: str, head: str = HEAD, end: str = "\n") -> str:
    return end.join((head, *rows)) + end


def prices(*texts: str) -> str:
    return lines(*(f'{number},A,"{text}",{AT}/{number}' for number, text in enumerate(texts)))


def words(*texts: str) -> str:
    return lines(*(f'{n},A,1 GBP,{AT}/{n},"{text}"' for n, text in enumerate(texts)), head=f"{HEAD},more")


def numbered(*values: object) -> dict[str, object]:
    return {str(number): value for number, value in enumerate(values) if value is not None}


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def item(inner: str, **more: str) -> str:
    fields = {"id": "1", "title": "A", "link": f"{AT}/1", "price": "9.99 GBP", **more}
    return "<item>" + "".join(f"<g:{name}>{value}</g:{name}>" for name, value in fields.items()) + inner + "</item>"


def rss(*items: str, above: str = "") -> str:
    return f'{above}<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{"".join(items)}</channel></rss>'


TAB = HEAD.replace(",", "\t")
ONE = lines(f"1,A,9.99 GBP,{AT}/1")
SAMPLES = [
    Sample(
        "quotes within tab-separated fields",
        f'{TAB}\n1\t27" Screen "Pro\t1 GBP\t{AT}/1\n2\t"Tall" Vase\t1 GBP\t{AT}/2\n3\t"""\t1 GBP\t{AT}/3\n',
        {"1": '27" Screen "Pro', "2": '"Tall" Vase', "3": '"""'},
        format="tsv",
    ),
    Sample("NUL and CRLF", f"{TAB}\r\n1\tA\0B\t1 GBP\t{AT}/1\r\n", {"1": "AB"}, format="tsv"),
    Sample("CR alone", f"{TAB}\r1\tA\t1 GBP\t{AT}/1\r2\tB\t1 GBP\t{AT}/2\r", {"1": "A", "2": "B"}, format="tsv"),
    Sample(
        "a line break in quotes",
        lines(f'1,"One\ntwo ""x""",1 GBP,{AT}/1', f"2,B,1 GBP,{AT}/2"),
        {"1": 'One two "x"', "2": "B"},
    ),
    Sample(
        "a quote that does not close",
        lines(f'1,"Open,1 GBP,{AT}/1', f"2,B,1 GBP,{AT}/2", f'3,"C",1 GBP,{AT}/3'),
        {"2": "B", "3": "C"},
        {"1": "line"},
        fault=2,
    ),
    Sample(
        "quotes escaped by backslashes",
        lines(f'1,"The \\"best\\" mug",1 GBP,{AT}/1', f"2,B,1 GBP,{AT}/2"),
        {"2": "B"},
        {"1": "line"},
        fault=2,
    ),
    Sample(
        "a comma without quotes",
        lines(f"1,Mug, blue,1 GBP,{AT}/1", f"2,B,1 GBP,{AT}/2"),
        {"2": "B"},
        {"1": "line"},
        fault=2,
    ),
    Sample(
        "sep= below a byte order mark",
        f"\ufeffsep=;\r\nid;title;price;link\r\n1;Größe;9,99 EUR;{AT}/1\r\n",
        {"1": "Größe"},
        top='decimal = ","',
    ),
    Sample(
        "Windows-1252",
        lines(f"1,Café “Noir” – €,€9.99,{AT}/1").encode("cp1252"),
        {"1": "Café “Noir” – €"},
        top='encoding = "windows-1252"\ncurrency_symbols = true',
    ),
    Sample(
        "UTF-16, big-endian, by its mark", f"\ufeff{lines(f'1,Чай,1 GBP,{AT}/1')}".encode("utf-16-be"), {"1": "Чай"}
    ),
    Sample(
        "Latin-1 that is not declared",
        lines(f"1,Café,1 GBP,{AT}/1", f"2,B,1 GBP,{AT}/2").encode("latin-1"),
        {"2": "B"},
        {"1": "name"},
    ),
    Sample(
        "headers with prefixes and capitals", lines(f"1,A,1 GBP,{AT}/1", head="G:ID, Title ,g:price,LINK"), {"1": "A"}
    ),
    Sample(
        "comments, blank and empty lines",
        f"# by hand\n\n  \n{HEAD}\n\n1,#1 Mug,1 GBP,{AT}/1\n#2,B,1 GBP,{AT}/2\n,,,\n",
        {"1": "#1 Mug", "#2": "B"},
    ),
    Sample(
        "entities",
        lines(f"1,&lt;b&gt;Tea&lt;/b&gt; &amp;amp; &#x2615;,1 GBP,{AT}/1", f"2,5 < 6 > 4,1 GBP,{AT}/2"),
        {"1": "Tea &amp; ☕", "2": "5 < 6 > 4"},
    ),
    Sample("CDATA in CSV", lines(f"1,<![CDATA[Mug & Co]]>,1 GBP,{AT}/1"), {"1": "Mug & Co"}),
    Sample(
        "a name of nothing visible",
        lines(f"1,\u200b,1 GBP,{AT}/1", f"2,<i></i>,1 GBP,{AT}/2"),
        {},
        {"1": "name", "2": "name"},
    ),
    Sample(
        "a brand of nothing",
        words("&nbsp;", "<b>Acme</b>", "A & B", " "),
        numbered(None, "Acme", "A & B"),
        fields='brand = "more"',
        column="brand",
    ),
    Sample(
        "tags in any script",
        words("чай, お茶, Łódź, ŁÓDŹ, salt &amp; pepper, #gift,"),
        {"0": ["чай", "お茶", "łódź", "salt-pepper", "gift"]},
        fields='tags = "more"',
        column="tags",
    ),
    Sample(
        "prices with symbols",
        prices("US$ 5", "$19.99 USD", "$19.99 GBP", "€ 5.00", "5 zł", "499 руб.", "$5", "£ 5 GBP"),
        numbered(500, 1999, None, 500, 500, 49900, None, 500),
        {"2": "price", "6": "price"},
        top="currency_symbols = true",
        column="price_minor",
    ),
    Sample(
        "symbols that the mapping does not allow",
        prices("$19.99 USD", "19.99 USD"),
        {"1": 1999},
        {"0": "price"},
        column="price_minor",
    ),
    Sample(
        "prices with apostrophes",
        prices("CHF 1'299.50", "1’299.50 CHF", "1299.505 CHF", "12'99 CHF"),
        numbered(129950, 129950),
        {"2": "price", "3": "price"},
        top="""thousands = "'" """,
        column="price_minor",
    ),
    Sample(
        "prices with spaces",
        prices("1 299,50 EUR", "1\u00a0299,50\u00a0EUR", "1\u202f299,50 EUR", "1 29 EUR"),
        numbered(129950, 129950, 129950),
        {"3": "price"},
        top='thousands = " "\ndecimal = ","',
        column="price_minor",
    ),
    Sample(
        "prices with dots",
        prices("1.299,50 EUR", "1.299 EUR", "12.99 EUR", "1299,5 EUR"),
        numbered(129950, 129900, None, 129950),
        {"2": "price"},
        top='thousands = "."\ndecimal = ","',
        column="price_minor",
    ),
    Sample(
        "exponents of currencies",
        prices("1500 JPY", "1500.50 JPY", "1.234 KWD", "0 GBP", "-5 GBP", "9.99 XYZ", "9.99GBP"),
        numbered(1500, None, 1234, None, None, None, 999),
        {"1": "price", "3": "price", "4": "price", "5": "price"},
        column="price_minor",
    ),
    Sample(
        "prices that are none",
        prices("9.99-12.99 GBP", "From 9.99 GBP", "NaN GBP", "1e3 GBP", "９.99 GBP", "GBP"),
        {},
        {str(number): "price" for number in range(6)},
    ),
    Sample(
        "words of availability",
        words(
            "In_Stock",
            "https://www.schema.org/InStock",
            "http://schema.org/BackOrder/",
            "schema.org/OnlineOnly",
            "onbackorder",
            "available for order",
            "PreSale",
            "SoldOut",
            "maybe",
            "-1",
            "3",
        ),
        numbered(True, True, False, True, False, True, False, False, None, False, True),
        {"8": "in_stock"},
        fields='in_stock = "more"',
        column="in_stock",
    ),
    Sample(
        "pictures",
        words(f"{AT}/a.jpg, {AT}/b.jpg,{AT}/a.jpg", f"ftp://x/a.jpg {AT}/c.jpg", f"{AT}/w_1,h_1/a.jpg"),
        numbered(f"{AT}/a.jpg", f"{AT}/c.jpg", f"{AT}/w_1,h_1/a.jpg"),
        {"1": "image_url"},
        top='image_separator = ","',
        fields='image_url = "more"',
        column="image_url",
    ),
    Sample(
        "http that becomes https",
        lines("1,A,1 GBP,HTTP://s.example:80/x:80", "2,B,1 GBP,http://s.example/?u=http://a"),
        {"1": f"{AT}/x:80", "2": f"{AT}/?u=http://a"},
        top="upgrade_http = true",
        column="affiliate_url",
    ),
    Sample(
        "links",
        lines(
            "1,A,1 GBP,//s.example/x",
            "2,A,1 GBP,https://a@s.example/",
            "3,A,1 GBP,https://s.example\\@evil.example",
            "4,A,1 GBP,javascript:alert(1)",
            f"5,A,1 GBP,{AT}/a b?q=ü#é",
            "6,A,1 GBP,https://müller.example/+%zz",
        ),
        {"5": f"{AT}/a%20b?q=%C3%BC#%C3%A9", "6": "https://xn--mller-kva.example/+%zz"},
        dict.fromkeys("1234", "affiliate_url"),
        column="affiliate_url",
    ),
    Sample(
        "lists of category paths",
        words("Home, Home > Tea, Home > Tea > Mugs, Sale", "Salt\\, Pepper > X", " > > Tea > "),
        numbered(["Home", "Tea", "Mugs"], ["Salt, Pepper", "X"], ["Tea"]),
        fields='category = "more"',
        column="category",
        top='category_separator = ">"\ncategory_list_separator = ","',
    ),
    Sample(
        "wrong GTINs",
        words("4006381333931", "4006381333932", "4.00638E+12", "400-6381-333931", "036000291452"),
        numbered("4006381333931", None, None, "4006381333931", "036000291452"),
        {"1": "gtin", "2": "gtin"},
        top='wrong_gtin = "drop"',
        fields='gtin = "more"',
        column="gtin",
    ),
    Sample(
        "periods of sales",
        lines(
            *(
                f"{n},A,10 GBP,{AT}/{n},8 GBP,{when}"
                for n, when in enumerate(
                    (
                        "2020-01-01T00:00+0100/2099-01-01T00:00+0100",
                        "2020-01-01/2020-02-01",
                        "/2099-01-01",
                        "2099-01-01/2020-01-01",
                        "2020-01-01",
                        "",
                    )
                )
            ),
            head=f"{HEAD},sale,when",
        ),
        numbered(800, 1000, 800, 1000, 1000, 800),
        {"3": "sale_price_effective_date", "4": "sale_price_effective_date"},
        column="price_minor",
        fields='sale_price = "sale"\nsale_price_effective_date = "when"',
    ),
    Sample(
        "no header, a trailer",
        f'HDR|1\n1|A "q|1 GBP|{AT}/1\n2|B|1 GBP|{AT}/2\nTRL|2\n',
        {"1": 'A "q', "2": "B"},
        top='columns = ["id", "title", "price", "link"]\nskip_lines = 1\ntrailer = "TRL"\ndelimiter = "|"',
    ),
    Sample(
        "a trailer that counts more",
        f"1|A|1 GBP|{AT}/1\nTRL|2\n",
        {"1": "A"},
        {"": "line"},
        fault=2,
        top='columns = ["id", "title", "price", "link"]\ntrailer = "TRL"\ndelimiter = "|"',
    ),
    Sample("a zip with a folder of macOS", zipped(**{"feed.csv": ONE, "__MACOSX/._feed.csv": "x"}), {"1": "A"}),
    Sample("gzip", gzip.compress(ONE.encode()), {"1": "A"}),
    Sample(
        "a JSON array",
        f'\ufeff[{{"id": 7, "title": "A", "price": 9.99, "cur": "GBP", "link": "{AT}/1"}},\n5,\n'
        f'{{"id": "8", "title": null, "price": 1, "cur": "GBP", "link": "{AT}/2"}}]',
        {"7": "A"},
        {"": "line", "8": "name"},
        format="json",
        fields='currency = "cur"',
        fault=2,
    ),
    Sample(
        "JSON lines",
        f'{{"id": "1", "title": "A\\u0000B", "price": "1 GBP", "link": "{AT}/1"}}\n\nno JSON\n'
        f'{{"id": "2", "title": ["a"], "price": "1 GBP", "link": "{AT}/2"}}\n',
        {"1": "AB"},
        {"": "line", "2": "name"},
        format="jsonl",
        fault=3,
    ),
    Sample(
        "RSS with comments, CDATA and the price of shipping",
        rss(
            item(
                "<g:shipping><g:country>GB</g:country><g:price>3.95 GBP</g:price></g:shipping><!-- x -->",
                title="<![CDATA[Salt & Pepper]]>",
            )
        ),
        {"1": "Salt & Pepper"},
        format="google_merchant_xml",
    ),
    Sample(
        "Atom",
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><g:id>1</g:id>'
        f'<title>A &amp;amp; B</title><link rel="alternate" href="{AT}/1?a=1&amp;b=2"/>'
        "<g:price>9.99 GBP</g:price></entry></feed>",
        {"1": f"{AT}/1?a=1&b=2"},
        format="google_merchant_xml",
        column="affiliate_url",
    ),
    Sample(
        "blank lines above the declaration",
        rss("\n", item(""), item("", id="2", price="none"), above='\r\n\n <?xml version="1.0"?>\n'),
        {"1": "A"},
        {"2": "price"},
        format="google_merchant_xml",
    ),
    Sample(
        "XML in UTF-16",
        rss(item("", title="Чай"), above='<?xml version="1.0" encoding="utf-16"?>').encode("utf-16"),
        {"1": "Чай"},
        format="google_merchant_xml",
    ),
    Sample(
        "XML whose byte order mark is above blank lines and of another encoding than its declaration",
        rss(item("", title="Чай"), above='\ufeff\n<?xml version="1.0" encoding="windows-1251"?>').encode("utf-16-le"),
        {"1": "Чай"},
        format="google_merchant_xml",
    ),
    Sample(
        "the id of an entry of Atom beside Google's",
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><entry><id>urn:uuid:1</id>'
        f'<g:id>1</g:id><title>A</title><summary>All of it</summary><link href="{AT}/1"/><g:price>9.99 GBP</g:price>'
        f'</entry><entry><g:id>2</g:id><id>urn:uuid:2</id><title>A</title><link href="{AT}/2"/><g:price>9 GBP</g:price>'
        "</entry></feed>",
        {"1": "All of it"},
        format="google_merchant_xml",
        column="description",
    ),
    Sample(
        "Google's elements before others of their name",
        rss(item("<title>Short</title>", title="The title &amp; more", id="1")),
        {"1": "The title & more"},
        format="google_merchant_xml",
    ),
    Sample(
        "the first price of shipping",
        rss(
            item(
                "<g:shipping><g:price>3.95 GBP</g:price></g:shipping><g:shipping><g:price>9 GBP</g:price></g:shipping>"
            )
        ),
        {"1": 395},
        format="google_merchant_xml",
        column="shipping_minor",
    ),
    Sample(
        "shipping in Google's words",
        lines(
            f"1,A,9.99 GBP,{AT}/1,GB::Standard:3.95 GBP",
            f'2,A,9.99 GBP,{AT}/2,"GB::Standard:0 GBP,GB::Express:5 GBP"',
            f"3,A,9.99 GBP,{AT}/3,ask",
            head=f"{HEAD},shipping",
        ),
        {"1": 395, "2": 0},
        {"3": "shipping"},
        format="google_merchant_csv",
        column="shipping_minor",
    ),
    Sample(
        "sales of WooCommerce: over, without an end, without a start, without times",
        "ID,Name,Regular price,Sale price,Date sale price starts,Date sale price ends\n"
        "1,A,10 GBP,5 GBP,2026-01-01 9:00:00,2026-01-31 23:59:59\n2,A,10 GBP,5 GBP,2026-01-01 0:00:00,\n"
        "3,A,10 GBP,5 GBP,,2026-01-31\n4,A,10 GBP,5 GBP,,\n",
        {"1": datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), "3": datetime(2026, 2, 1, tzinfo=UTC)},
        format="woocommerce",
        column="sale_ends_at",
    ),
    Sample(
        "sales of OpenAI's feed by two days",
        "item_id,title,price,url,sale_price,sale_price_start_date,sale_price_end_date\n"
        f"1,A,9.99 GBP,{AT}/1,5 GBP,2026-01-01,2026-01-31\n",
        {"1": datetime(2026, 2, 1, tzinfo=UTC)},
        format="openai_csv",
        column="sale_ends_at",
    ),
    Sample(
        "pictures separated by signs that addresses do not have",
        lines(
            f"1,A,9.99 GBP,{AT}/1,{AT}/a.jpg|{AT}/b.jpg",
            f'2,A,9.99 GBP,{AT}/2,"{AT}/w_1,h_2/a.jpg {AT}/b.jpg, {AT}/c.jpg"',
            head=f"{HEAD},image_link",
        ),
        {"1": [f"{AT}/a.jpg", f"{AT}/b.jpg"], "2": [f"{AT}/w_1,h_2/a.jpg", f"{AT}/b.jpg", f"{AT}/c.jpg"]},
        format="google_merchant_csv",
        column="images",
    ),
    Sample(
        "one picture where the mapping says no separator",
        lines(f"1,A,9.99 GBP,{AT}/1,{AT}/a.jpg {AT}/b.jpg", head=f"{HEAD},pic"),
        {"1": f"{AT}/a.jpg"},
        fields='image_url = "pic"',
        column="image_url",
    ),
    Sample(
        "addresses escaped as HTML",
        lines(f"1,A,1 GBP,{AT}/1?a=1&amp;b=2&#38;c=3&#x26;d=&copy=4;e"),
        {"1": f"{AT}/1?a=1&b=2&c=3&d=&copy=4;e"},
        column="affiliate_url",
    ),
    Sample("a second byte order mark", f"\ufeff\ufeff{ONE}", {"1": "A"}),
    Sample(
        "elements by path",
        f'<s xmlns="urn:x"><l><p id="1"><t>A</t><u href="{AT}/1"/><o><c>9.99 GBP</c></o></p></l><p id="9"/></s>',
        {"1": "A"},
        format="xml",
        below='[xml]\nitem = "s/l/p"',
        fields='external_id = "@id"\nname = "t"\naffiliate_url = "u/@href"\nprice = "o.c"',
    ),
]
REFUSED = [
    Sample("a repeated column", lines(f"1,A,1 GBP,{AT}/1,B", head=f"{HEAD},title"), {}),
    Sample("a page of an error", "<!DOCTYPE html><html><body>403 Forbidden</body></html>", {}),
    Sample("an empty file", "", {}),
    Sample("a zip with two files", zipped(**{"a.csv": ONE, "b.csv": ONE}), {}),
    Sample("a gzip that is cut off", gzip.compress(ONE.encode() * 50)[:-9], {}),
    Sample(
        "an array that is cut off",
        f'[{{"id": "1", "title": "A", "price": "1 GBP", "link": "{AT}/1"}},{{"i',
        {},
        format="json",
    ),
    Sample("two arrays in one file", '[{"id": "1"}]\n[{"id": "2"}]', {}, format="json"),
    Sample("an empty array and more", "[] x", {}, format="json"),
    Sample("XML that is cut off", rss(item(""))[:-9], {}, format="google_merchant_xml"),
    Sample("XML with an ampersand", rss(item("", title="A & B")), {}, format="google_merchant_xml"),
    Sample(
        "XML with an entity",
        rss(item("", title="&x;"), above='<!DOCTYPE r [<!ENTITY x "y">]>'),
        {},
        format="google_merchant_xml",
    ),
    Sample(
        "XML of another feed", "<products><product><id>1</id></product></products>", {}, format="google_merchant_xml"
    ),
]


def read(sample: Sample, folder: Path) -> tuple[dict[str, Any], FeedRows]:
    path = folder / "feed"
    path.write_bytes(sample.content if isinstance(sample.content, bytes) else sample.content.encode())
    applied = mapping(sample)
    with opened(path) as stream, closing(READERS[applied.format](stream, applied)) as records:
        feed = FeedRows(applied, None)
        rows = [dict(zip(STAGING_COLUMNS, row, strict=True)) for row in feed.rows(records)]
    return {str(row["external_id"]): row[sample.column] for row in rows if not row["rejected"]}, feed


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_what_is_in_a_file_comes_in(sample: Sample, tmp_path: Path) -> None:
    found, feed = read(sample, tmp_path)
    assert {id: value for id, value in found.items() if value is not None} == sample.expected
    assert {id: column for _, id, column, *_ in feed.kept} == sample.refused
    assert feed.fault_line == sample.fault


@pytest.mark.parametrize("sample", REFUSED, ids=lambda sample: sample.name)
def test_what_no_import_can_be_sure_of_is_refused(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed):
        read(sample, tmp_path)


def test_lines_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    content = rss("\n", item(""), "\n", item("", id="2", price="none"), above='\n\n<?xml version="1.0"?>\n')
    _, feed = read(Sample("", content, {}, format="google_merchant_xml"), tmp_path)
    assert [line for line, *_ in feed.kept] == [6]
