"""Named SQL: how blocks are read, bound, filled and joined."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from db.queries import (
    QUERIES,
    QUERY_FOLDER,
    Fragment,
    NumberedSql,
    Queries,
    UnknownParameter,
    all_of,
    compose,
    prefixed,
)

FILES = sorted(QUERY_FOLDER.glob("*.sql"))


def load(folder: Path, text: str, noun: str = "things") -> Queries:
    (folder / f"{noun}.sql").write_text(text)
    return Queries.load(folder)


def test_a_block_is_found_by_noun_and_name(tmp_path: Path) -> None:
    queries = load(tmp_path, "-- name: one()\nselect 1\n\n-- name: two()\nselect 2\n")
    assert {name: query.sql for name, query in queries.items()} == {"things.one": "select 1", "things.two": "select 2"}


def test_parameters_are_numbered_in_the_order_of_the_header(tmp_path: Path) -> None:
    query = load(tmp_path, "-- name: find(a, b)\nselect :b, :a, :b\n")["things.find"]
    assert (query.params, query.sql) == (("a", "b"), "select $2, $1, $2")


def test_casts_and_slices_stay_as_they_are(tmp_path: Path) -> None:
    query = load(tmp_path, "-- name: find(a)\nselect :a::text::int, '12:30'::time, (x)[1:64], y::name\n")["things.find"]
    assert query.sql == "select $1::text::int, '12:30'::time, (x)[1:64], y::name"


def test_comments_and_the_last_semicolon_are_left_out(tmp_path: Path) -> None:
    query = load(tmp_path, "-- A file.\n\n-- name: find()\n-- Says :nothing.\nselect 1\n  -- :more\n;\n")["things.find"]
    assert query.sql.split() == ["select", "1"]


def test_a_parameter_that_the_header_does_not_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownParameter, match=r"things\.find lists \['a'\] and uses \['a', 'b'\]"):
        load(tmp_path, "-- name: find(a)\nselect :a, :b\n")


def test_a_parameter_that_is_listed_and_not_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownParameter, match=r"lists \['a', 'b'\] and uses \['a'\]"):
        load(tmp_path, "-- name: find(a, b)\nselect :a\n")


def test_binding_takes_all_values_and_no_others(tmp_path: Path) -> None:
    query = load(tmp_path, "-- name: is(a)\nr.a = :a\n")["things.is"]
    assert query.bind(a=1) == Fragment("r.a = :a", {"a": 1})
    with pytest.raises(UnknownParameter, match=r"things\.is takes"):
        query.bind()
    with pytest.raises(UnknownParameter, match=r"things\.is takes"):
        query.bind(a=1, b=2)


def test_a_slot_is_filled_and_its_values_are_appended(tmp_path: Path) -> None:
    query = load(tmp_path, "-- name: page(size)\nselect 1 where {filter} limit :size::int\n")["things.page"]
    composed = query.fill(filter=Fragment("r.a = :size", {"size": "large"}))
    assert composed.statement(size=5) == ("select 1 where r.a = $1 limit $2::int", ["large", 5])


def test_a_slot_takes_trusted_text(tmp_path: Path) -> None:
    query = load(tmp_path, "-- name: page()\nselect 1 order by {order}\n")["things.page"]
    assert query.fill(order="r.id desc").statement() == ("select 1 order by r.id desc", [])


def test_a_slot_that_is_not_filled_is_an_error() -> None:
    with pytest.raises(KeyError, match="filter"):
        compose("select 1 where {filter}", {})


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UnknownParameter, match=":size has no value"):
        compose("select 1 limit :size", {}).statement()


def test_casts_in_a_fragment_stay_as_they_are() -> None:
    composed = compose("select {a}", {"a": Fragment(":x::text::x", {"x": 1})})
    assert composed.statement() == ("select $1::text::x", [1])


def test_two_slots_may_use_the_same_name_for_different_values() -> None:
    composed = compose(
        "select {low} and {high}", {"low": Fragment("r.p >= :p", {"p": 1}), "high": Fragment("r.p <= :p", {"p": 9})}
    )
    assert composed.statement() == ("select r.p >= $1 and r.p <= $2", [1, 9])


def test_a_value_is_never_read_as_sql() -> None:
    composed = compose("select {a}", {"a": Fragment(":x", {"x": "{b} :y $1"})})
    assert composed.statement() == ("select $1", ["{b} :y $1"])


def test_a_statement_takes_its_arguments_by_name_and_leaves_the_others() -> None:
    numbered = NumberedSql.of("r.a = :b and r.c = :a::int and r.d = :b")
    assert numbered == NumberedSql("r.a = $1 and r.c = $2::int and r.d = $1", ("b", "a"))
    assert numbered.arguments({"a": 1, "b": 2, "c": 3}) == [2, 1]
    with pytest.raises(UnknownParameter, match=":b has no value"):
        numbered.arguments({"a": 1})


def test_a_prefix_renames_parameters_and_nothing_else() -> None:
    assert prefixed("r.a = :a::text or x[1:2] = :b", "p1_") == "r.a = :p1_a::text or x[1:2] = :p1_b"


def test_conditions_are_joined_by_and_each_in_its_brackets() -> None:
    joined = all_of([Fragment("a = :v or b", {"v": 1}), Fragment("c = :v::int", {"v": 2})])
    assert compose("{w}", {"w": joined}).statement() == ("(a = $1 or b) and (c = $2::int)", [1, 2])


def test_no_condition_is_true() -> None:
    assert all_of([]) == Fragment("true", {})


def test_joined_conditions_can_be_joined_again() -> None:
    inner = all_of([Fragment("a = :v", {"v": 1}), Fragment("b = :v", {"v": 2})])
    outer = all_of([inner, Fragment("c = :f0_v", {"f0_v": 3})])
    assert compose("{w}", {"w": outer}).statement() == ("((a = $1) and (b = $2)) and (c = $3)", [1, 2, 3])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_header_of_a_file_is_read_once(path: Path) -> None:
    headers = [line for line in path.read_text().splitlines() if re.match(r"--\s*name\b", line)]
    assert len(headers) == sum(name.startswith(f"{path.stem}.") for name in QUERIES)
