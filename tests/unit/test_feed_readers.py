"""Files of feeds: every record is read or named as a fault, and no other line suffers from it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import feed_files
from db.feed_readers import MAX_UNBALANCED, Row
from db.product_imports import READERS
from domain.feed_mappings import ImportFailed, parse_mapping

FIELDS = """
[fields]
external_id = "id"
name = "title"
description = "text"
affiliate_url = "link"
price = "price"
[retailer]
slug = "shop"
"""
HEADER = "id,title,text,link,price\n"


def read(content: bytes | str, head: str, tail: str = "") -> list[Row]:
    """The rows of a file; `head` and `tail` are lines of the mapping before and after its tables."""
    mapping = parse_mapping(head + FIELDS + tail)
    with closing(READERS[mapping.format](stream_of(content), mapping)) as rows:
        return list(rows)


def stream_of(content: bytes | str) -> feed_files.Stream:
    raw = content.encode() if isinstance(content, str) else content
    return cast(feed_files.Stream, io.BufferedReader(io.BytesIO(raw)))


def csv_rows(content: bytes | str, more: str = "") -> list[Row]:
    return read(content, f'format = "csv"\n{more}\n')


def line(n: int, title: str = "", text: str = "Plain") -> str:
    return f"p{n},{title or f'Thing {n}'},{text},https://shop.example/{n},{n}.50\n"


def ids(rows: list[Row]) -> list[object]:
    return [row.record["id"] for row in rows if row.record and not row.fault]


def faults(rows: list[Row]) -> list[tuple[int, object]]:
    return [(row.line, (row.record or {}).get("id")) for row in rows if row.fault]


class TestQuotes:
    @pytest.mark.parametrize("separator", ["\t", "|"])
    def test_tab_and_pipe_separated_files_have_no_quotes(self, separator: str) -> None:
        cells = [["a", '"Big" jar', '"open', "l", "1"], ["b", '5" nail', 'say ""hi""', "l", "2"]]
        text = "\n".join(separator.join(row) for row in [["id", "title", "text", "link", "price"], *cells])
        rows = read(text, f'format = "csv"\ndelimiter = {json.dumps(separator)}\n')
        assert [list((row.record or {}).values()) for row in rows] == cells

    def test_a_shop_that_does_quote_says_so(self) -> None:
        text = 'id\ttitle\ttext\tlink\tprice\na\t"Tab\there"\t"""q"""\tl\t1\n'
        [row] = read(text, 'format = "tsv"\nquote = \'"\'\n')
        assert row.record == {"id": "a", "title": "Tab\there", "text": '"q"', "link": "l", "price": "1"}

    def test_a_field_over_several_lines_is_one_field(self) -> None:
        rows = csv_rows(HEADER + line(1, text='"two\nlines, ""and"" a comma,\nthree"') + line(2))
        assert ids(rows) == ["p1", "p2"]
        assert (rows[0].record or {})["text"] == 'two\nlines, "and" a comma,\nthree'

    @pytest.mark.parametrize(
        "torn",
        [
            {3: '"Open'},  # to the end of the file
            {3: '"Open', 5: '"Good, old"'},  # closed by the quote of a good field
            {3: '"Open', 5: 'brush"'},  # closed by another stray quote: valid CSV, but not what was meant
            {3: '"Open', 4: 'brush"'},
        ],
    )
    def test_an_unbalanced_quote_costs_its_own_line(self, torn: dict[int, str]) -> None:
        rows = csv_rows(HEADER + "".join(line(n, text=torn.get(n, "Plain")) for n in range(1, 8)))
        assert faults(rows) == [(4, "p3")]
        assert ids(rows) == ["p1", "p2", "p4", "p5", "p6", "p7"]
        assert all(row.is_structural for row in rows if row.fault)

    def test_a_quote_in_the_last_column_too(self) -> None:
        header = "id,title,link,price,text\n"
        lines = [
            f"p{n},Thing,https://shop.example/{n},{n}.50,{text}\n" for n, text in enumerate(["a", '"b', "c", 'd"'])
        ]
        assert faults(csv_rows(header + "".join(lines))) == [(3, "p1")]
        multi = f'{header}p1,Thing,https://shop.example/1,1.50,"one\ntwo"\n'
        assert ids(csv_rows(multi + lines[0])) == ["p1", "p0"]

    def test_text_after_a_closing_quote_costs_one_line(self) -> None:
        rows = csv_rows(HEADER + line(1, '"Best" mug') + line(2, 'Frame 12" x 8"') + line(3))
        assert (ids(rows), faults(rows)) == (["p2", "p3"], [(2, "p1")])

    def test_a_file_full_of_them_is_refused_in_time(self) -> None:
        started = time.process_time()
        with pytest.raises(ImportFailed, match="quotes do not balance"):
            csv_rows(HEADER + "".join(line(n, '"x') for n in range(20_000)))
        assert time.process_time() - started < 10
        assert MAX_UNBALANCED < 20_000


class TestShape:
    def test_short_lines_are_filled_up_and_long_ones_keep_their_id(self) -> None:
        rows = csv_rows(HEADER + "a,Mug\n" + "b,Mug,t,l,1,more\n" + "c,Mug,t,l,1,,\n" + ",,,,\n")
        assert rows[0].record == {"id": "a", "title": "Mug", "text": "", "link": "", "price": ""}
        assert not rows[0].is_structural
        assert (ids(rows), faults(rows), len(rows)) == (["a", "c"], [(3, "b")], 3)

    def test_a_repeated_column_is_refused_if_it_is_used(self) -> None:
        with pytest.raises(ImportFailed, match="'text' is repeated"):
            csv_rows("id,title,text,TEXT,link,price\n")
        assert ids(csv_rows("id,title,other,other,link,price,,\na,b,c,d,e,f,,\n")) == ["a"]

    def test_names_are_compared_without_case_and_prefix(self) -> None:
        assert ids(csv_rows("G:ID, Title ,g:text,LINK,Price\na,b,c,d,e\n")) == ["a"]

    def test_comments_blank_lines_and_separator_lines_stand_above_the_header(self) -> None:
        assert ids(csv_rows('\ufeff# made "today", at 5\n\n' + HEADER + line(1))) == ["p1"]
        assert ids(csv_rows("sep=;\n" + (HEADER + line(1)).replace(",", ";"))) == ["p1"]

    def test_a_file_without_header_has_lines_around_it(self) -> None:
        more = 'columns = ["id", "title", "text", "link", "price"]\nskip_lines = 2\n'
        rows = csv_rows("HDR,1\nmore\n" + line(1) + line(2) + "TRL,2\n", more)
        assert (ids(rows), faults(rows)) == (["p1", "p2"], [])

    def test_a_file_that_was_cut_off_says_so_at_its_end(self) -> None:
        more = 'columns = ["id", "title", "text", "link", "price"]\ntrailer = "END"\n'
        assert faults(csv_rows(line(1) + "END,2\n", more)) == [(2, None)]
        assert faults(csv_rows(line(1), more)) == [(1, None)]
        assert faults(csv_rows(line(1) + "END\n" + line(2), more)) == [(2, None), (3, None)]
        assert faults(csv_rows(line(1) + "END,1\n", more)) == []

    def test_a_header_of_very_many_columns_is_refused(self) -> None:
        """Each of them would take time in every line."""
        assert ids(csv_rows(HEADER.strip() + "," * 1_000 + "\n" + line(1))) == ["p1"]
        with pytest.raises(ImportFailed, match="100005 columns"):
            csv_rows(HEADER.strip() + "," * 100_000 + "\n" + line(1))


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
    def test_a_byte_order_mark_says_it(self, encoding: str) -> None:
        [row] = csv_rows((HEADER + line(1, "Чай 茶")).encode(encoding))
        assert (row.record or {})["title"] == "Чай 茶"

    def test_the_mapping_says_it(self) -> None:
        [row] = csv_rows((HEADER + line(1, "“Œuf” – €")).encode("cp1252"), 'encoding = "windows-1252"')
        assert (row.record or {})["title"] == "“Œuf” – €"

    def test_lines_may_end_in_a_carriage_return(self) -> None:
        assert ids(csv_rows((HEADER + line(1) + line(2)).replace("\n", "\r"))) == ["p1", "p2"]
        assert ids(csv_rows((HEADER + line(1) + line(2)).replace("\n", "\r\n"))) == ["p1", "p2"]

    def test_wrong_bytes_fail_in_the_field_that_has_them(self) -> None:
        rows = csv_rows((HEADER + line(1)).encode() + b"p2,caf\xe9,t,l,1\n")
        assert (rows[1].record or {})["title"] == "caf\udce9"


class TestJson:
    ARRAY = 'format = "json"\n'

    def test_an_array_over_any_lines(self) -> None:
        made = [{"id": n, "title": "]}, [{", "nested": {"a": [1, "é\n"]}, "price": 1.10} for n in range(300)]
        for indent in (None, 2):
            rows = read(json.dumps(made, indent=indent), self.ARRAY)
            assert ids(rows) == list(range(300))
            assert str((rows[0].record or {})["price"]) == "1.1"
            assert rows[1].line == (1 if indent is None else 13)

    def test_what_is_no_object_is_a_fault(self) -> None:
        rows = read('[{"id": 1}, 17, "x", {"id": 2}]', self.ARRAY)
        assert (ids(rows), len(faults(rows))) == ([1, 2], 2)
        assert read(" [ ] ", self.ARRAY) == []

    @pytest.mark.parametrize(
        "text",
        ["", "{}", '[{"id": 1}', '[{"id": 1} {"id": 2}]', '[{"id": 1},]', '[{"id": 1', "[" * 5000, '["' + "x" * 2**21],
    )
    def test_a_broken_array_is_refused(self, text: str) -> None:
        with pytest.raises(ImportFailed):
            read(text, self.ARRAY)


def xml(items: str, top: str = "") -> str:
    return f'<?xml version="1.0"?>{top}<rss xmlns:g="x"><channel><title>No product</title>{items}</channel></rss>'


class TestXml:
    XML = ('format = "xml"\n', '[xml]\nitem = "rss/channel/item"\n')

    def read(self, content: bytes | str) -> list[Row]:
        return read(content, *self.XML)

    def test_elements_attributes_and_repeats(self) -> None:
        [row] = self.read(
            xml(
                '<item kind="k"><g:ID>1</g:ID><title>Nuts &amp; <![CDATA[Bolts &amp; <b>]]></title>'
                '<link rel="self" href="https://no.example"/><link href="https://shop.example/1"/>'
                "<g:shipping><g:price>3</g:price></g:shipping><g:price>5</g:price>"
                "<tag>a</tag><tag>b</tag><empty/></item>"
            )
        )
        assert row.record == {
            "@kind": "k", "id": "1", "title": "Nuts & Bolts &amp; <b>", "link.@rel": "self",
            "link.@href": ["https://no.example", "https://shop.example/1"], "link": "https://shop.example/1",
            "shipping.price": "3", "price": "5", "tag": ["a", "b"],
        }  # fmt: skip

    @pytest.mark.parametrize(
        "top",
        [
            '<!DOCTYPE rss [<!ENTITY a "b">]>',
            '<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE rss [<!ENTITY % a SYSTEM "https://evil.example/x.dtd"> %a;]>',
            '<!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;">]>',
        ],
    )
    def test_entities_refuse_the_file(self, top: str) -> None:
        with pytest.raises(ImportFailed, match="entities"):
            self.read(xml("<item><id>1</id></item>", top))

    def test_an_external_document_type_is_not_fetched(self) -> None:
        top = '<!DOCTYPE rss SYSTEM "https://evil.example/x.dtd">'
        assert ids(self.read(xml("<item><id>1</id></item>", top))) == ["1"]
        with pytest.raises(ImportFailed, match="entities"):
            self.read(xml("<item><id>&what;</id></item>", top))

    def test_the_declaration_or_the_mapping_names_the_encoding(self) -> None:
        text = '<?xml version="1.0" encoding="{}"?><rss><channel><item><id>é€</id></item></channel></rss>'
        assert ids(self.read(text.format("windows-1252").encode("cp1252"))) == ["é€"]
        assert ids(self.read(text.format("utf-16").encode("utf-16"))) == ["é€"]
        wrong = text.format("utf-8").encode("cp1252")
        assert ids(read(wrong, 'format = "xml"\nencoding = "cp1252"\n', self.XML[1])) == ["é€"]
        with pytest.raises(ImportFailed, match="line 1"):
            self.read(wrong)

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (xml("<item><id>1</id></item>")[:-4], "not well-formed"),
            (xml("<item><id>1</item>"), "not well-formed"),
            (xml("<entry><id>1</id></entry>"), "no element rss/channel/item"),
            (xml("<a>" * 200), "deep"),
            (xml(f"<item><{'n' * 300}/></item>"), "name longer than"),
            ("", "not well-formed"),
            (xml(f'<item a="{"x" * 9_000_000}"/>'), "longer than"),
        ],
    )
    def test_what_is_refused(self, content: str, complaint: str) -> None:
        with pytest.raises(ImportFailed, match=complaint):
            self.read(content)

    def test_an_item_that_is_too_long_is_a_fault_of_its_own(self) -> None:
        rows = self.read(xml(f"<item><id>1</id><text>{'x' * 2**21}</text></item><item><id>2</id></item>"))
        assert (len(faults(rows)), ids(rows)) == (1, ["2"])

    def test_attributes_beyond_the_size_of_an_item_take_no_time(self) -> None:
        attributes = " ".join(f'a{n}="1"' for n in range(9_000))
        names = [f"n{n}{'x' * 200}" for n in range(50)]
        inner = "".join(f"<{name}>" for name in names) + f"<b {attributes}/>"
        started = time.process_time()
        rows = self.read(xml(f"<item>{inner}{''.join(f'</{name}>' for name in reversed(names))}</item>"))
        assert len(faults(rows)) == 1
        assert time.process_time() - started < 2

    def test_memory_does_not_grow_with_the_file(self) -> None:
        items = "".join(f"<item><id>{n}</id><text>{'word ' * 100}</text></item>" for n in range(20_000)).encode()
        mapping = parse_mapping(self.XML[0] + FIELDS + self.XML[1])
        stream = stream_of(b"<rss><channel>" + items + b"</channel></rss>")
        tracemalloc.start()
        try:
            count = len([row.line for row in READERS["xml"](stream, mapping)])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == 20_000
        assert peak < 4_000_000


class TestFiles:
    def opened(self, path: Path) -> bytes:
        with feed_files.opened(path) as stream:
            return stream.read()

    def test_gzip_and_zip_are_unpacked(self, tmp_path: Path) -> None:
        feed = tmp_path / "feed"
        for pack in (
            lambda data: data,
            gzip.compress,
            lambda data: zipped({"a/feed.csv": data, "a/": b"", "__MACOSX/._f": b""}),
        ):
            feed.write_bytes(pack(b"content"))
            assert self.opened(feed) == b"content"

    def test_a_zip_of_two_files_names_both(self, tmp_path: Path) -> None:
        feed = tmp_path / "feed"
        feed.write_bytes(zipped({"one.csv": b"1", "two.csv": b"2"}))
        with pytest.raises(ImportFailed, match=r"one\.csv, two\.csv"):
            self.opened(feed)
        feed.write_bytes(zipped({"one.csv": b"1"})[:-30])
        with pytest.raises(ImportFailed, match="damaged"):
            self.opened(feed)

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_an_archive_of_which_pieces_cannot_be_bounded_is_refused(self, tmp_path: Path, method: int) -> None:
        """1.3 kB of bzip2 held 1.5 GB, of which zipfile unpacks more than a gigabyte at once."""
        feed = tmp_path / "feed.zip"
        feed.write_bytes(zipped({"feed.csv": b"id,title\n" + bytes(1_000_000)}, method))
        with pytest.raises(ImportFailed, match="deflate"):
            self.opened(feed)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


# What shops write: six scripts, quotes and separators anywhere.
CELLS = st.text(
    st.sampled_from("abc éß Łø чай ελ 茶が 한국 حليب ,;|\"'&<>#=- \n") | st.characters(exclude_categories=["Cs", "Cc"]),
    max_size=20,
)
RECORDS = st.lists(st.fixed_dictionaries({"title": CELLS, "text": CELLS}), max_size=8)


def _one_line(value: str) -> str:
    return " ".join(value.replace("|", "/").split())


def _delimited(records: list[dict[str, str]], separator: str, quoted: bool) -> str:
    target = io.StringIO()
    writer = csv.writer(
        target,
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        quotechar='"' if quoted else None,
        lineterminator="\n",
    )
    writer.writerow(["id", "title", "text", "link", "price"])
    for n, record in enumerate(records):
        writer.writerow([f"p{n}", record["title"], record["text"], f"https://shop.example/{n}", "1.50"])
    return target.getvalue()


def _as_csv(records: list[dict[str, str]]) -> tuple[str, str, str]:
    return _delimited(records, ",", True), 'format = "csv"\n', ""


def _as_pipes(records: list[dict[str, str]]) -> tuple[str, str, str]:
    flat = [{key: _one_line(value) for key, value in record.items()} for record in records]
    lines = ["id|title|text|link|price"]
    lines += [f"p{n}|{r['title']}|{r['text']}|https://shop.example/{n}|1.50" for n, r in enumerate(flat)]
    return "\n".join(lines), 'format = "csv"\ndelimiter = "|"\n', ""


def _as_json(records: list[dict[str, str]]) -> tuple[str, str, str]:
    return json.dumps([{"id": f"p{n}", **record} for n, record in enumerate(records)]), 'format = "json"\n', ""


def _as_json_lines(records: list[dict[str, str]]) -> tuple[str, str, str]:
    return (
        "\n".join(json.dumps({"id": f"p{n}", **record}) for n, record in enumerate(records)),
        'format = "jsonl"\n',
        "",
    )


@settings(deadline=None)
@given(RECORDS, st.sampled_from([_as_csv, _as_pipes, _as_json, _as_json_lines]))
def test_no_value_is_changed(
    records: list[dict[str, str]], write: Callable[[list[dict[str, str]]], tuple[str, str, str]]
) -> None:
    content, head, tail = write(records)
    rows = read(content.encode("utf-8"), head, tail)
    assert not faults(rows)
    want: list[Any] = [(r["title"], r["text"]) for r in records]
    if write is _as_pipes:
        want = [tuple(map(_one_line, pair)) for pair in want]
    assert [((r.record or {})["title"], (r.record or {})["text"]) for r in rows] == want


def _marks() -> Iterator[bytes]:
    yield from (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF32_BE)


@settings(deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["csv", "tsv", "json", "jsonl", "xml"]), st.sampled_from([b"", *_marks()])
)
def test_any_bytes_are_read_or_refused(content: bytes, format: str, mark: bytes) -> None:
    tail = '[xml]\nitem = "rss/channel/item"\n' if format == "xml" else ""
    top = (
        b"id,title,text,link,price\n".replace(b",", b"\t" if format == "tsv" else b",")
        if format in ("csv", "tsv")
        else b""
    )
    for start in (mark, mark + top):
        with suppress(ImportFailed):
            read(start + content, f'format = "{format}"\n', tail)
