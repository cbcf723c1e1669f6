"""Requests that no client of good will sends, by name, as the bytes on the wire. Every one has to be answered with a
4xx, or with 200 and errors where the document or its variables are at fault."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
ME = '{"query":"{ me { id } }"}'


def wire(method: str, target: str, headers: dict[str, str] | list[tuple[str, str]], body: bytes | str = b"") -> bytes:
    """A request on a connection of its own."""
    content = body if isinstance(body, bytes) else body.encode()
    given = list(headers.items()) if isinstance(headers, dict) else headers
    lines = [f"{method} {target} HTTP/1.1", "host: hostile", "connection: close"]
    lines += [f"{name}: {value}" for name, value in given]
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in given):
        lines.append(f"content-length: {len(content)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def post(body: bytes | str, accept: str = GRAPHQL_JSON, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire("POST", "/graphql", {"content-type": JSON, "accept": accept, **named}, body)


def ask(query: str, variables: Any = None, **more: Any) -> bytes:
    return post(json.dumps({"query": query, "variables": variables, **more}))


def get(parameters: str, accept: str = GRAPHQL_JSON) -> bytes:
    return wire("GET", f"/graphql?{parameters}", {"accept": accept})


def _deep(start: str, end: str, levels: int, middle: str = "1") -> str:
    return start * levels + middle + end * levels


BODIES: dict[str, bytes | str] = {
    "nothing": "",
    "a space": " ",
    "a NUL": b"\0",
    "two byte order marks": 2 * b"\xef\xbb\xbf" + ME.encode(),
    "UTF-16": ME.encode("utf-16"),
    "UTF-32": ME.encode("utf-32"),
    "Latin-1": '{"query":"{ brands(search: \\"é\\") { totalCount } }"}'.encode("latin-1"),
    "overlong UTF-8": b'{"query":"\xc0\xaf"}',
    "a cut UTF-8 sequence": b'{"query":"{ me { id } }\xe2\x82"}',
    "a surrogate in UTF-8": b'{"query":"\xed\xa0\x80"}',
    "a lone surrogate as query": '{"query":"\\ud800"}',
    "a lone low surrogate as query": '{"query":"\\udc00 { me { id } }"}',
    "a lone surrogate in a key": '{"\\ud800":1,"query":"{ me { id } }","variables":{"\\ud800":1}}',
    "a lone surrogate in variables": '{"query":"{ me { id } }","variables":{"a":"\\udfff"}}',
    "a lone surrogate in operationName": '{"query":"{ me { id } }","operationName":"\\ud800"}',
    "a lone surrogate in extensions": '{"query":"{ me { id } }","extensions":{"a":"\\ud800"}}',
    "a cut escape": '{"query":"\\u12',
    "a wrong escape": '{"query":"\\x41"}',
    "NaN": '{"query":"{ me { id } }","variables":{"a":NaN}}',
    "Infinity": '{"query":"{ me { id } }","variables":{"a":Infinity}}',
    "minus Infinity": '{"query":"{ me { id } }","variables":{"a":-Infinity}}',
    "a leading zero": '{"query":"{ me { id } }","variables":{"a":01}}',
    "a leading plus": '{"query":"{ me { id } }","variables":{"a":+1}}',
    "hexadecimal": '{"query":"{ me { id } }","variables":{"a":0x10}}',
    "an integer of 5,000 digits": '{"query":"{ me { id } }","variables":{"a":%s}}' % ("9" * 5000),
    "a negative integer of 5,000 digits": '{"query":"{ me { id } }","variables":{"a":-%s}}' % ("9" * 5000),
    "an exponent of 5,000 digits": '{"query":"{ me { id } }","variables":{"a":1e%s}}' % ("9" * 5000),
    "a number beyond floats": '{"query":"{ me { id } }","variables":{"a":1e400}}',
    "5,000 digits as extensions": '{"query":"{ me { id } }","extensions":{"a":%s}}' % ("9" * 5000),
    "5,000 digits as query": '{"query":%s}' % ("9" * 5000),
    "10,000 lists": _deep("[", "]", 10_000),
    "10,000 objects": _deep('{"a":', "}", 10_000),
    "10,000 open brackets": "[" * 10_000,
    "100,000 open braces": '{"a":' * 100_000,
    "10,000 lists in variables": '{{"query":"{{ me {{ id }} }}","variables":{{"a":{}}}}}'.format(
        _deep("[", "]", 10_000)
    ),
    "10,000 objects in variables": '{{"query":"{{ me {{ id }} }}","variables":{}}}'.format(_deep('{"a":', "}", 10_000)),
    "10,000 lists in extensions": '{{"query":"{{ me {{ id }} }}","extensions":{{"a":{}}}}}'.format(
        _deep("[", "]", 10_000)
    ),
    "10,000 lists in a member nobody knows": '{{"query":"{{ me {{ id }} }}","x":{}}}'.format(_deep("[", "]", 10_000)),
    "21 levels of variables": '{{"query":"{{ me {{ id }} }}","variables":{}}}'.format(_deep('{"a":', "}", 21)),
    "variables that are too long": '{"query":"{ me { id } }","variables":{"a":"%s"}}' % ("x" * 250_000),
    "a body that is too long": '{"query":"{ me { id } }","x":"%s"}' % ("x" * 1_000_000),
    "a list": f"[{ME}]",
    "a list of many": "[" + ",".join([ME] * 1000) + "]",
    "an empty list": "[]",
    "a string": '"{ me { id } }"',
    "a number": "7",
    "null": "null",
    "true": "true",
    "two objects": ME + ME,
    "a comma at the end": '{"query":"{ me { id } }",}',
    "single quotes": "{'query':'{ me { id } }'}",
    "a comment": '{"query":"{ me { id } }"/* */}',
    "a newline in a string": '{"query":"{ me\n{ id } }"}',
    "no query": "{}",
    "a query in capitals": '{"QUERY":"{ me { id } }"}',
    "GraphQL itself": "{ me { id } }",
    "a form": "query=%7B+me+%7B+id+%7D+%7D",
    "XML": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*,M-\xaaT\xb2R\xaa\xae",
    **{f"query: {value}": f'{{"query":{value}}}' for value in ("null", "7", "true", "[]", "{}", '["{ me { id } }"]')},
    **{
        f"variables: {value}": f'{{"query":"{{ me {{ id }} }}","variables":{value}}}'
        for value in ("7", "true", "[]", '"{}"', "[1]")
    },
    **{
        f"operationName: {value}": f'{{"query":"{{ me {{ id }} }}","operationName":{value}}}'
        for value in ("7", "true", "[]", "{}", '"Other"')
    },
    **{
        f"extensions: {value}": f'{{"query":"{{ me {{ id }} }}","extensions":{value}}}'
        for value in ("7", "true", "[]", '"x"')
    },
    "a hash alone": '{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"%s"}}}' % ("0" * 64),
}

_PRODUCT = "{{ products {{ nodes {{ {} }} }} }}"
_FIRST = "query ($first: Int) { products(first: $first) { totalCount } }"
_SEARCH = "query ($text: String) { products(search: $text) { totalCount } }"
_FILTER = "query ($filter: ProductFilter) { products(filter: $filter) { totalCount } }"
_NODE = "query ($id: ID!) { node(id: $id) { id } }"
_INTROSPECTION = (
    "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
)


def _fragments(count: int, inside: str, end: str) -> str:
    """A chain of fragments; `inside` may say {next}."""
    made = [f"fragment F{i} on Query {{ {inside.replace('{next}', f'...F{i + 1}')} }}" for i in range(count)]
    return " ".join([*made, f"fragment F{count} on Query {{ {end} }}"])


DOCUMENTS: dict[str, str] = {
    "nothing": "",
    "a comment": "# nothing",
    "a NUL": "{ me { id } }\0",
    "a NUL in a name": "{ m\0e { id } }",
    "a control character": "{ me { id } } \x07",
    "a byte order mark inside": "{ me \ufeff{ id ",
    "a name of letters beyond ASCII": "{ mé { id } }",
    "an emoji": "{ 🎁 }",
    "right to left": "{ me { \u202eid } }",
    "a lone surrogate escaped": '{ products(search: "\\uD800") { totalCount } }',
    "a lone surrogate in braces": '{ products(search: "\\u{D800}") { totalCount } }',
    "a code point that is none": '{ products(search: "\\u{110000}") { totalCount } }',
    "a string without an end": '{ products(search: "',
    "a block string without an end": '{ products(search: """',
    "a newline in a string": '{ products(search: "a\nb") { totalCount } }',
    "10,000 braces": "{" * 10_000,
    "10,000 levels": _deep("{a", "}", 10_000, ""),
    "10,000 levels of inline fragments": "{" + _deep("...{", "}", 10_000, "__typename") + "}",
    "400 levels of inline fragments": "{" + _deep("...{", "}", 400, "nothing") + "}",
    "10,000 lists": "{ products(filter: " + _deep("[", "]", 10_000) + ") { totalCount } }",
    "600 lists": "{ products(filter: {tags: " + _deep("[", "]", 600) + "}) { totalCount } }",
    "10,000 objects": "{ products(filter: " + _deep("{a:", "}", 10_000) + ") { totalCount } }",
    "10,000 wrapped types": "query ($a: " + "[" * 10_000 + "Int" + "]" * 10_000 + ") { me { id } }",
    "600 wrapped types": "query ($a: " + "[" * 600 + "Int" + "]" * 600 + ") { products(first: $a) { totalCount } }",
    "an integer of 5,000 digits": "{ products(first: " + "9" * 5000 + ") { totalCount } }",
    "a negative integer of 5,000 digits": "{ products(first: -" + "9" * 5000 + ") { totalCount } }",
    "a default of 5,000 digits": f"query ($a: Int = {'9' * 5000}) {{ products(first: $a) {{ totalCount }} }}",
    "an exponent of 5,000 digits": "{ products(filter: {minPrice: 1e" + "9" * 5000 + "}) { totalCount } }",
    "5,000 digits as an id": "{ node(id: " + "9" * 5000 + ") { nothing } }",
    "a float beyond floats": "{ products(first: 1e400) { totalCount } }",
    "a leading zero": "{ products(first: 01) { totalCount } }",
    "a name of 40,000 letters": "{ " + "n" * 40_000 + " }",
    "an enum of 40,000 letters": "{ products(orderBy: " + "N" * 40_000 + ") { totalCount } }",
    "a text that is too long": '{ products(search: "' + "x" * 60_000 + '") { totalCount } }',
    "a comment that is too long": "#" + "x" * 60_000 + "\n{ me { id } }",
    "too many tokens": "{ " + "__typename " * 2_000 + "}",
    "too many fields": "{ " + "__typename " * 1_001 + "}",
    "too many aliases": "{ " + _PRODUCT.format(" ".join(f"a{i}: id" for i in range(101)))[2:],
    "too many root fields": "{ " + " ".join(f"a{i}: __typename" for i in range(21)) + " }",
    "too many searches": "{ " + " ".join(f'a{i}: products(search: "a") {{ totalCount }}' for i in range(13)) + " }",
    "too many operations": " ".join(f"query Q{i} {{ __typename }}" for i in range(21)),
    "too many directives": "{ " + " ".join(f"a{i}: __typename @skip(if: true)" for i in range(101)) + " }",
    "too many directives in one place": "{ __typename " + "@skip(if: true) " * 6 + "}",
    "1,900 directives in one place": "{ __typename " + "@a " * 1_900 + "}",
    "directives on a fragment": "{ ...F } fragment F on Query " + "@a " * 6 + "{ __typename }",
    "directives on a variable": "query ($a: Int " + "@a " * 6 + ") { products(first: $a) { totalCount } }",
    "too deep": "{ categories { " + _deep("parent {", "}", 25, "id") + " } }",
    "too deep by fragments": "{ ...F0 }" + _fragments(25, "products { nodes { category { id } } } {next}", "nothing"),
    "fragments that double": "{ ...F0 }" + _fragments(60, "{next} {next}", "me { id }"),
    "fragments that double fields": "{ ...F0 }" + _fragments(14, "a: me { id } {next} {next}", "me { id }"),
    "fragments in a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "a fragment in itself": "{ ...A } fragment A on Query { me { id } ...A }",
    "a fragment in itself below": "{ me { ...A } } fragment A on Profile { id node { ...A } }",
    "a fragment that is missing": "{ ...Missing }",
    "a fragment twice": "{ ...A } fragment A on Query { me { id } } fragment A on Query { me { id } }",
    "a fragment of no use": "{ me { id } } fragment A on Query { me { id } }",
    "a fragment on nothing": "{ ...A } fragment A on Nothing { id }",
    "a fragment on a scalar": "{ ...A } fragment A on String { id }",
    "the same field too often": _PRODUCT.format("category { id } " * 300),
    "the same field nested": "{ products { nodes { category { " + "parent { parent { id } } " * 90 + "} } } }",
    "fields that conflict": "{ a: me { id } a: products { totalCount } }",
    "arguments that conflict": "{ products(first: 1) { totalCount } products(first: 2) { totalCount } }",
    "19 fields at once in too many pages": "{"
    + " ".join(
        f"a{i}: products(first: 100) {{ nodes {{ category {{ products(first: 100) {{ nodes {{ id }} }} }} }} }}"
        for i in range(19)
    )
    + "}",
    "pages within pages": "{ products(first: 100) { nodes { category { products(first: 100) { nodes { id } } } } } }",
    "similar of similar": "{ products(first: 100) { nodes { similar(first: 100) { product { similar { id } } } } } }",
    "values beyond the cost": "{ products(first: 100) { nodes { priceHistory(first: 100) { price { amount } } } } }",
    "introspection within introspection": _INTROSPECTION,
    "introspection often": "{"
    + " ".join(
        f"a{i}: __schema {{ types {{ fields {{ name args {{ name }} type {{ fields {{ name }} }} }} }} }}"
        for i in range(19)
    )
    + "}",
    "introspection of types often": "{"
    + " ".join(
        f'a{i}: __type(name: "Product") {{ fields {{ type {{ fields {{ type {{ fields {{ name }} }} }} }} }} }}'
        for i in range(20)
    )
    + "}",
    "an unknown field": "{ nothing }",
    "an unknown argument": "{ products(where: 1) { totalCount } }",
    "an unknown directive": "{ me @export { id } }",
    "defer": "{ ... @defer { me { id } } }",
    "stream": "{ products { nodes @stream { id } } }",
    "an object without fields": "{ me }",
    "fields of a leaf": "{ me { id { id } } }",
    "two anonymous operations": "{ me { id } } { me { id } }",
    "the same operation twice": "query A { me { id } } query A { me { id } }",
    "two operations": "query A { me { id } } query B { me { id } }",
    "no operation": "fragment A on Query { me { id } }",
    "a type": "type Query { a: Int }",
    "a schema": "schema { query: Query }",
    "an extension": "extend type Query { a: Int } { me { id } }",
    "a subscription": "subscription { anything }",
    "an unknown kind of operation": "delete { me { id } }",
    "a variable of an unknown type": "query ($a: Nothing) { products(first: $a) { totalCount } }",
    "a variable of an output type": "query ($a: Product) { products(first: $a) { totalCount } }",
    "a variable twice": "query ($a: Int, $a: Int) { products(first: $a) { totalCount } }",
    "a variable of no use": "query ($a: Int) { me { id } }",
    "a variable that is not declared": "{ products(first: $a) { totalCount } }",
    "a variable in a default": "query ($a: Int, $b: Int = $a) { products(first: $b) { totalCount } }",
    "400 variables": "query (" + " ".join(f"$a{i}: Int" for i in range(400)) + ") { me { id } }",
    "a negative page": "{ products(first: -1) { totalCount } }",
    "a page of 2^31": "{ products(first: 2147483648) { totalCount } }",
    "a page both ways": "{ products(first: 1, last: 1) { totalCount } }",
    "a forged cursor": '{ products(first: 1, after: "x") { totalCount } }',
    "2,000 ids": "{ nodes(ids: [" + '"x" ' * 1_900 + "]) { id } }",
    "SQL in a field": "{ products; drop table swipes; -- { id } }",
    "HTML": "<script>alert(1)</script>",
}

_ID = "{ me { id } }"
VARIABLES: dict[str, tuple[str, Any]] = {
    "missing": (_NODE, {}),
    "null": (_NODE, {"id": None}),
    "an object for an id": (_NODE, {"id": {"$ne": 1}}),
    "a list for an id": (_NODE, {"id": [1]}),
    "true for an id": (_NODE, {"id": True}),
    "a float for an id": (_NODE, {"id": 1.5}),
    "a string for a number": (_FIRST, {"first": "1"}),
    "true for a number": (_FIRST, {"first": True}),
    "a fraction for a number": (_FIRST, {"first": 0.5}),
    "2^31": (_FIRST, {"first": 2**31}),
    "2^63": (_FIRST, {"first": 2**63}),
    "2^64": (_FIRST, {"first": 2**64}),
    "10^40": (_FIRST, {"first": 10**40}),
    "1e308": (_FIRST, {"first": 1e308}),
    "an object for a number": (_FIRST, {"first": {}}),
    "a list of numbers for a number": (_FIRST, {"first": list(range(100))}),
    "a number for a text": (_SEARCH, {"text": 7}),
    "a long text": (_SEARCH, {"text": "x" * 200_000}),
    "an unknown field of an input": (_FILTER, {"filter": {"__proto__": 1}}),
    "a text for an input": (_FILTER, {"filter": "{}"}),
    "a list for an input": (_FILTER, {"filter": [1]}),
    "a price that is none": (_FILTER, {"filter": {"minPrice": "NaN"}}),
    "a price of 1e999": (_FILTER, {"filter": {"minPrice": "1e999"}}),
    "a price of 10,000 digits": (_FILTER, {"filter": {"minPrice": "9" * 10_000}}),
    "a price in letters of another script": (_FILTER, {"filter": {"minPrice": "١٢"}}),
    "deep tags": (_FILTER, {"filter": {"tags": [[[[[[[[["x"]]]]]]]]]}}),
    "tags of objects": (_FILTER, {"filter": {"tags": [{}] * 1000}}),
}


def _with(**headers: str) -> bytes:
    return post(ME, **headers)


_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiZXhwIjo5OTk5OTk5OTk5fQ."
HEADERS: dict[str, bytes] = {
    "Bearer twice": _with(authorization="Bearer Bearer"),
    "no JWT": _with(authorization="Bearer x"),
    "a token without a signature": _with(authorization=f"Bearer {_TOKEN}"),
    "a token of 50,000 characters": _with(authorization="Bearer " + "x" * 50_000),
    "a token of dots": _with(authorization="Bearer " + "." * 1_000),
    "a token beyond ASCII": _with(authorization="Bearer \xff\xfe"),
    "Basic": _with(authorization="Basic YTpi"),
    "two tokens": wire(
        "POST", "/graphql", [("content-type", JSON), ("authorization", "Bearer a"), ("authorization", "Bearer b")], ME
    ),
    "two content types": wire("POST", "/graphql", [("content-type", JSON), ("content-type", "text/plain")], ME),
    "no content type": wire("POST", "/graphql", {}, ME),
    **{
        f"content type {name}": wire("POST", "/graphql", {"content-type": name}, ME)
        for name in (
            "",
            "text/plain",
            "text/json",
            "application/graphql",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "application/json+x",
            "application/json; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "*/*",
            "x" * 5_000,
        )
    },
    **{f"content encoding {name}": _with(content_encoding=name) for name in ("gzip", "br", "deflate", "zstd", "x")},
    **{
        f"accept {name[:40]}": _with(accept=name)
        for name in ("text/html", "image/*", "application/xml", "application/json;q=0", "*/*;q=0", "x", "x," * 2_000)
    },
    "a length that is none": wire("POST", "/graphql", {"content-type": JSON, "content-length": "many"}, ME),
    "a negative length": wire("POST", "/graphql", {"content-type": JSON, "content-length": "-1"}, ME),
    "a length of 30 digits": wire("POST", "/graphql", {"content-type": JSON, "content-length": "9" * 30}, ME),
    "a length beyond the limit": wire("POST", "/graphql", {"content-type": JSON, "content-length": "1000001"}, ME),
    "two lengths": wire(
        "POST", "/graphql", [("content-type", JSON), ("content-length", "5"), ("content-length", "6")], ME
    ),
    "a length and chunks": wire(
        "POST",
        "/graphql",
        [("content-type", JSON), ("content-length", "5"), ("transfer-encoding", "chunked")],
        "0\r\n\r\n",
    ),
    "chunks that are none": wire("POST", "/graphql", {"content-type": JSON, "transfer-encoding": "chunked"}, "zz\r\n"),
    "too many chunks' bytes": wire(
        "POST",
        "/graphql",
        {"content-type": JSON, "transfer-encoding": "chunked"},
        b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n0\r\n\r\n",
    ),
    "a header without a name": wire("POST", "/graphql", {"content-type": JSON, "": "x"}, ME),
    "a header with a NUL": wire("POST", "/graphql", {"content-type": JSON, "x": "a\0b"}, ME),
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/9.9": b"POST /graphql HTTP/9.9\r\n\r\n",
    "a method that is none": wire("BREW", "/graphql", {}),
    **{f"method {name}": wire(name, "/graphql", {"content-type": JSON}, ME) for name in ("PUT", "PATCH", "DELETE")},
    "TRACE": wire("TRACE", "/graphql", {}),
}

_MUTATION = quote('mutation { startSession(input: {landingPage: "/"}) { sessionId } }')
GETS: dict[str, bytes] = {
    "no query": get("variables={}"),
    "a query twice": get("query={me{id}}&query={me{id}}"),
    "an empty query": get("query="),
    "a mutation": get(f"query={_MUTATION}"),
    "a mutation, for tools": get(f"query={_MUTATION}", JSON),
    "invalid UTF-8": get("query=%ff%fe"),
    "a surrogate": get("query=%ED%A0%80"),
    "a cut percent": get("query=%7B%"),
    "NUL": get("query=%00"),
    "variables that are no JSON": get("query={me{id}}&variables={"),
    "variables that are a list": get("query={me{id}}&variables=[1]"),
    "variables that are a number": get("query={me{id}}&variables=7"),
    "deep variables": get("query={me{id}}&variables=" + "[" * 20_000),
    "NaN in variables": get("query={me{id}}&variables={%22a%22:NaN}"),
    "a surrogate in variables": get("query={me{id}}&variables={%22a%22:%22%5Cud800%22}"),
    "extensions that are a list": get("query={me{id}}&extensions=[]"),
    "extensions that are no JSON": get("query={me{id}}&extensions=x"),
    "too many parameters": get("query={me{id}}&" + "&".join(f"a{i}=1" for i in range(50))),
    "60,000 parameters": get("&" * 60_000),
    "a query that is too long": get("query=" + "%20" * 20_000 + "x" * 100),
    "an operation that is not there": get("query={me{id}}&operationName=Other"),
    "another path": wire("GET", "/graphql/", {}),
    "a path upwards": wire("GET", "/graphiql/../../settings.py", {}),
    "a path of NUL": wire("GET", "/r/%00", {}),
    "a path beyond UTF-8": wire("GET", "/r/%ff%fe", {}),
    "a long path": wire("GET", "/g/" + "x" * 20_000, {}),
}

CASES: dict[str, bytes] = {
    **{f"body: {name}": post(body) for name, body in BODIES.items()},
    **{f"document: {name}": ask(query) for name, query in DOCUMENTS.items()},
    **{f"variable: {name}": ask(query, variables) for name, (query, variables) in VARIABLES.items()},
    **{f"header: {name}": request for name, request in HEADERS.items()},
    **{f"get: {name}": request for name, request in GETS.items()},
}
