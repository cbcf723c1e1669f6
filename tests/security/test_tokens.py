"""Access tokens that must not work. Each is sent with a question that anybody may ask: a 401 says that a bad token is
never taken for no token."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from domain import ids
from domain.errors import Unauthenticated
from services import tokens as tokens_module
from services.tokens import Tokens
from settings import Settings
from tests.client import QUIZ, SUBMIT, SWIPE
from tests.conftest import SECRET, Shop
from tests.security.forging import encoded, signed

PUBLIC = "{ categories { slug } }"
ME = "{ me { id } }"
MISSING = object()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that are right but for these changes."""
    right = {
        "iss": "aclue",
        "aud": "authenticated",
        "sub": str(uuid4()),
        "role": "authenticated",
        "exp": int(time.time()) + 86_400,
    }
    return {name: value for name, value in {**right, **changes}.items() if value is not MISSING}


HS256 = {"alg": "HS256", "typ": "JWT"}
NOW = time.time()

SIGNATURES = {
    "alg none": f"{encoded({'alg': 'none'})}.{encoded(claims())}.",
    "alg None": f"{encoded({'alg': 'None'})}.{encoded(claims())}.",
    "alg none, signed": signed({"alg": "none"}, claims()),
    "no alg": signed({"typ": "JWT"}, claims()),
    "alg is a list": signed({"alg": ["HS256"]}, claims()),  # type: ignore[dict-item]
    "another secret": signed(HS256, claims(), "another secret that is long enough for it"),
    "no secret": signed(HS256, claims(), ""),
    "no signature": signed(HS256, claims()).rpartition(".")[0] + ".",
    "cut signature": signed(HS256, claims())[:-2],
    "signature of another": signed(HS256, claims()).rpartition(".")[0]
    + "."
    + signed(HS256, claims()).rpartition(".")[2],
    "HS384": jwt.encode(claims(), SECRET * 2, algorithm="HS384"),
    "HS512 of our secret": jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
    "RS256 without a key of anybody": signed({"alg": "RS256", "kid": "1"}, claims()),
    "role raised after signing": ".".join(
        [
            signed(HS256, claims()).split(".")[0],
            encoded(claims(role="service_role")),
            signed(HS256, claims()).split(".")[2],
        ]
    ),
    **{f"alg {name}": f"{encoded({'alg': name})}.{encoded(claims())}." for name in ("NONE", "nOnE", " none", "")},
    **{f"alg {name!r}": signed({"alg": name}, claims()) for name in ("hs256", "HS256 ", "HS256\0", None, 256, {})},
    "duplicate alg, last none": signed('{"alg":"HS256","alg":"none"}', claims()),
    "duplicate alg, first none, another secret": signed('{"alg":"none","alg":"HS256"}', claims(), "x" * 40),
}
EXTENSIONS: dict[str, Any] = {
    "crit": {"crit": ["exp"]},
    "crit, empty": {"crit": []},
    "crit of b64": {"crit": ["b64"], "b64": True},
    "b64": {"b64": False},
    "compressed": {"zip": "DEF"},
    "encrypted": {"enc": "A128GCM"},
    "nested": {"cty": "JWT"},
    "nested, in small letters": {"cty": "jwt"},
    "a token for something else": {"typ": "logout+jwt"},
    "typ is a number": {"typ": 7},
    **{f"kid is {kid!r}": {"kid": kid} for kid in (7, None, True, ["a"], {"a": 1})},
    "kid of 2000 characters": {"kid": "1" * 2000},
}
TWICE = {
    "duplicate alg": signed('{"alg":"HS256","alg":"HS256"}', claims()),
    "duplicate typ": signed('{"alg":"HS256","typ":"JWT","typ":"JWT"}', claims()),
    "duplicate sub": signed(HS256, json.dumps(claims())[:-1] + f', "sub": "{uuid4()}"}}'),
    "duplicate role, spelled otherwise": signed(HS256, json.dumps(claims())[:-1] + ', "r\\u006fle": "service_role"}'),
    "duplicate role below": signed(
        HS256, json.dumps(claims())[:-1] + ', "app_metadata": {"role": "analyst", "role": "admin"}}'
    ),
}
CLAIMS = {
    "expired": claims(exp=NOW - 1),
    "expired long ago": claims(exp=0),
    "exp is a text": claims(exp="tomorrow"),
    "exp is null": claims(exp=None),
    "exp is a list": claims(exp=[NOW + 600]),
    "exp is a number as a text": claims(exp=str(int(NOW) + 600)),
    "exp is true": claims(exp=True),
    **{f"exp is {exp}": claims(exp=exp) for exp in (float("nan"), float("inf"), 1e300, 10**30, 10**400, 253402300800)},
    "exp is negative": claims(exp=-1),
    "nbf is a text": claims(nbf="0"),
    "nbf is null": claims(nbf=None),
    "iat is a text": claims(iat="0"),
    "iat is not a number": claims(iat=float("nan")),
    "an hour ahead": claims(iat=NOW + 3600),
    "not yet": claims(nbf=NOW + 80_000),
    "issued in the future": claims(iat=NOW + 80_000),
    "another audience": claims(aud="another"),
    "audience is a list of others": claims(aud=["another", "third"]),
    "audience is a list of lists": claims(aud=[["authenticated"]]),
    "audience is a list with a number": claims(aud=["authenticated", 5]),
    "audience is an object": claims(aud={"authenticated": True}),
    "audience in capitals": claims(aud="Authenticated"),
    "audience is empty": claims(aud=[]),
    "audience is a number": claims(aud=5),
    "another issuer": claims(iss="https://another.example"),
    "issuer is a list": claims(iss=["aclue"]),
    **{f"no {name}": claims(**{name: MISSING}) for name in ("exp", "sub", "role", "aud", "iss")},
    **{f"{name} is null": claims(**{name: None}) for name in ("sub", "role", "aud", "iss")},
    **{
        f"role {role!r}": claims(role=role)
        for role in (
            "postgres",
            "admin",
            "",
            "aclue_api",
            "aclue_owner",
            "job_worker",
            "Authenticated",
            "authenticated ",
            "anon\0",
        )
    },
    **{f"role is {role!r}": claims(role=role) for role in (1, True, ["authenticated"], {"role": "anon"}, [])},
    **{f"sub {sub!r}": claims(sub=sub) for sub in ("", "anna", "1", "' or true --", "00000000", "\0")},
    **{f"sub is {sub!r}": claims(sub=sub) for sub in (7, ["a"], {"a": 1}, True)},
    "sub in braces": claims(sub=f"{{{uuid4()}}}"),
    "sub as a URN": claims(sub=uuid4().urn),
    "sub without hyphens": claims(sub=uuid4().hex),
    "sub with a space": claims(sub=f"{uuid4()} "),
    "session as a URN": claims(session_id=uuid4().urn),
    "a NUL, which Postgres cannot read": claims(user_metadata={"name": "a\0b"}),
    "half a character": claims(user_metadata={"name": "\ud800"}),
    "session is no uuid": claims(session_id="anna"),
    "session is a list": claims(session_id=["anna"]),
}
KIDS = ("../../../../dev/null", "' union select 'secret' --", "https://thief.example/key", "\0", "", "1" * 2000)
GARBAGE = {
    "text": "garbage",
    "dots": "..",
    "five parts": "a.b.c.d.e",
    "no JSON": f"{encoded(b'x')}.{encoded(b'y')}.{encoded(b'z')}",
    "header is a list": f"{encoded(b'[]')}.{encoded(b'{}')}.x",
    "header is deep": f"{encoded(b'[' * 5000)}.e30.x",
    "payload is deep": signed(json.dumps(HS256), "[" * 4000),
    "payload is a list": signed(HS256, "[]"),
    "payload is no UTF-8": f"{encoded(HS256)}.{encoded(bytes([255, 254]))}.x",
    "no base64": "!!!.???.***",
    "100 kB": signed(HS256, claims(padding="x" * 100_000)),
    "many dots": "." * 4000,
    "beyond ASCII": "é" * 40,
}


async def not_refused(shop: Shop, headers: dict[str, str]) -> dict[str, str]:
    """Those of these Authorization headers that are answered with anything but a proper 401."""
    found = {}
    for name, header in headers.items():
        answer = await shop.http.post(
            "/graphql", json={"query": PUBLIC}, headers=[(b"authorization", header.encode("latin-1"))]
        )
        body = answer.json()
        codes = [error["extensions"]["code"] for error in body.get("errors", [])]
        is_told = answer.headers.get("www-authenticate", "").startswith("Bearer")
        if (answer.status_code, codes, is_told, body.get("data")) != (401, ["UNAUTHENTICATED"], True, None):
            found[name] = f"{answer.status_code} {answer.text[:200]}"
    return found


def bearers(tokens: dict[str, str]) -> dict[str, str]:
    return {name: f"Bearer {token}" for name, token in tokens.items()}


async def test_a_token_put_together_here_works_when_nothing_is_wrong_with_it(shop: Shop) -> None:
    person = await shop.anonymous()
    key = ids.decode_as("Profile", await person.my_id())
    token = signed(HS256, claims(sub=str(key)))
    assert await shop.client(token).ask(ME) == await person.ask(ME)
    assert list(await not_refused(shop, bearers({"right": token}))) == ["right"]


async def test_signatures_that_are_not_ours_are_refused(shop: Shop) -> None:
    assert await not_refused(shop, bearers(SIGNATURES)) == {}


async def test_claims_that_do_not_fit_are_refused(shop: Shop) -> None:
    assert await not_refused(shop, bearers({name: signed(HS256, payload) for name, payload in CLAIMS.items()})) == {}


async def test_garbage_is_refused(shop: Shop) -> None:
    assert await not_refused(shop, bearers(GARBAGE)) == {}


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "[^\\u0000-\\u007F]+", "\U0001f381"])
async def test_the_escape_of_a_nul_is_text_like_any_other(shop: Shop, text: str) -> None:
    token = signed(HS256, claims(user_metadata={"bio": text, text: 1}))
    assert (
        await shop.http.post("/graphql", json={"query": "{ me { id } }"}, headers={"authorization": f"Bearer {token}"})
    ).is_success


async def test_other_schemes_are_refused(shop: Shop) -> None:
    good = shop.token(uuid4())
    headers = ["Bearer null", "Basic", f"Basic {encoded('anna:secret')}", f"Basic {good}", good]
    headers += [f"Bearer: {good}", f"Token {good}", f"Bearer {good} {good}", f"Bearer {good}, Bearer {good}"]
    assert await not_refused(shop, {header: header for header in headers}) == {}
    assert list(await not_refused(shop, {"lower case": f"bearer {good}"})) == ["lower case"]


async def test_a_key_id_chooses_no_key(shop: Shop) -> None:
    forged = {kid: signed({**HS256, "kid": kid}, claims(), "") for kid in KIDS}
    empty_key = {f"{kid}, nothing": signed({**HS256, "kid": kid}, claims(), "\0") for kid in KIDS}
    urls = {
        name: signed({**HS256, name: "https://thief.example/keys"}, claims(), "the thief's own secret, long enough")
        for name in ("jku", "x5u")
    }
    own_key = {"kty": "oct", "k": encoded("the thief's own secret, long enough")}
    carried = {"jwk": signed({**HS256, "jwk": own_key}, claims(), "the thief's own secret, long enough")}
    assert await not_refused(shop, bearers({**forged, **empty_key, **urls, **carried})) == {}
    ours = signed({**HS256, "kid": KIDS[0]}, claims())
    assert list(await not_refused(shop, bearers({"ours": ours}))) == ["ours"]


async def test_a_name_that_stands_twice_is_refused(shop: Shop) -> None:
    """Two readers might take different ones."""
    assert await not_refused(shop, bearers(TWICE)) == {}


async def test_what_changes_how_a_token_is_read_is_refused(shop: Shop) -> None:
    tokens = {name: signed({**HS256, **header}, claims()) for name, header in EXTENSIONS.items()}
    assert await not_refused(shop, bearers(tokens)) == {}


async def test_a_number_too_long_to_read_is_refused(shop: Shop) -> None:
    payload = json.dumps(claims())[:-1] + f', "n": {"9" * 5000}}}'
    assert await not_refused(shop, bearers({"long": signed(HS256, payload)})) == {}


async def test_a_token_has_one_spelling(shop: Shop) -> None:
    header, payload, signature = signed(HS256, claims()).split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = last[last.index(signature[-1]) + 1]  # the last character of 32 bytes has bits that say nothing
    spellings = {
        "right": f"{header}.{payload}.{signature}",
        "padded": f"{header}.{payload}.{signature}=",
        "spare bits": f"{header}.{payload}.{signature[:-1]}{spare}",
        "other alphabet": f"{header}.{payload}.{signature}+/",
        "within": f"{header}.{payload}.{signature[:9]} {signature[9:]}",
        "a tab": f"{header}.\t{payload}.{signature}",
        "between": f"{header}. {payload}.{signature}",
        "a sign that base64 skips": f"{header}.{payload}.{signature[:9]}!{signature[9:]}",
        "a dot at the end": f"{header}.{payload}.{signature}.",
        "a dot in front": f".{header}.{payload}.{signature}",
    }
    assert list(await not_refused(shop, bearers(spellings))) == ["right"]


async def test_a_line_break_is_no_part_of_a_token(shop: Shop) -> None:
    token = signed(HS256, claims())
    for spelling in (f"{token}\n", f"\n{token}", token.replace(".", ".\n"), f"{token}\0", f"\ufeff{token}"):
        with pytest.raises(Unauthenticated):
            await shop.services.tokens.verify(spelling)
    assert (await shop.services.tokens.verify(token)).role == "authenticated"


async def test_what_the_standard_allows_is_taken(shop: Shop) -> None:
    now = time.time()
    fine = {
        "a fraction of a second": claims(exp=now + 600.5, iat=now - 0.5),
        "several audiences": claims(aud=["other", "authenticated"]),
        "a clock that is a little ahead": claims(iat=now + 15, nbf=now + 15),
    }
    tokens = bearers({name: signed(HS256, payload) for name, payload in fine.items()})
    tokens["typ of access tokens"] = f"Bearer {signed({'alg': 'HS256', 'typ': 'at+jwt'}, claims())}"
    assert list(await not_refused(shop, tokens)) == list(tokens)


async def test_remembered_tokens_are_bounded(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "CACHE_CHARACTERS", 5000)
    tokens = shop.services.tokens
    many = [shop.token(uuid4()) for _ in range(50)]
    for token in [*many, *many]:
        await tokens.verify(token)
    kept = 5000 // len(many[0])
    assert 0 < len(tokens._known) <= kept
    assert tokens._known_length == sum(length for *_, length in tokens._known.values())


async def test_a_token_is_refused_once_it_has_expired_though_it_was_verified_before(shop: Shop) -> None:
    anna = await shop.anonymous()
    key = ids.decode_as("Profile", await anna.my_id())
    expires = int(time.time()) + 2
    token = signed(HS256, claims(sub=str(key), exp=expires))
    for _ in range(2):
        assert await shop.client(token).ask(ME) == await anna.ask(ME)
    await asyncio.sleep(expires - time.time() + 0.01)
    assert list(await not_refused(shop, bearers({"expired": token}))) == []
    assert "expired" in (await shop.client(token).post(ME)).json()["errors"][0]["message"]
    assert (await anna.ask(ME))["me"] is not None


DELETED = "delete from public.profiles where id = $1"
CLICK = "mutation ($id: ID!) { createAffiliateClick(input: {productId: $id}) { userErrors { code } } }"
FEEDBACK = """
mutation ($id: ID!) {
  sendRecommendationFeedback(input: {recommendationId: $id, kind: HELPFUL}) { userErrors { code } }
}
"""
RENAME = 'mutation { updateProfile(input: {displayName: "Ghost"}) { profile { displayName } userErrors { code } } }'
OWN = "query ($id: ID!) { me { id } node(id: $id) { id } }"


async def key_of(client: Any) -> UUID:
    key = ids.decode_as("Profile", await client.my_id())
    assert key
    return key


async def test_the_token_of_a_deleted_person_reads_nothing_of_a_persons(shop: Shop) -> None:
    ghost = await shop.anonymous()
    product = (await ghost.products(first=1))[0]["id"]
    swipe = (await ghost.swipe(product))["swipe"]["id"]
    assert (await ghost.ask(OWN, id=swipe))["node"] == {"id": swipe}
    await shop.owner.execute(DELETED, await key_of(ghost))
    assert await ghost.ask(OWN, id=swipe) == {"me": None, "node": None}
    assert len(await ghost.products(first=1)) == 1


async def test_the_token_of_a_deleted_person_writes_nothing(shop: Shop) -> None:
    ghost, alive = await shop.anonymous(), await shop.anonymous()
    product = (await ghost.products(first=1))[0]["id"]
    version = (await ghost.ask(QUIZ))["quiz"]["version"]
    answers = [{"questionId": q["id"], "value": 3} for q in (await ghost.ask(QUIZ))["quiz"]["questions"]]
    writes: list[tuple[str, dict[str, Any]]] = [
        (SWIPE, {"input": {"productId": product, "direction": "UP", "clientSwipeId": "1"}}),
        (SUBMIT, {"input": {"version": version, "answers": answers}}),
        (CLICK, {"id": product}),
    ]
    shown = {person: (await person.feed(first=1))["nodes"][0]["id"] for person in (ghost, alive)}
    await shop.owner.execute(DELETED, await key_of(ghost))
    for document, variables in writes:
        assert await ghost.code(document, **variables) == "UNAUTHENTICATED"
        await alive.do(document, **variables)
    assert await ghost.code(FEEDBACK, id=shown[ghost]) == "UNAUTHENTICATED"
    await alive.do(FEEDBACK, id=shown[alive])


async def test_the_token_of_a_deleted_person_changes_no_profile(shop: Shop) -> None:
    ghost, alive = await shop.anonymous(), await shop.anonymous()
    await shop.owner.execute(DELETED, await key_of(ghost))
    assert (await alive.do(RENAME))["profile"] == {"displayName": "Ghost"}
    assert await ghost.code(RENAME) == "UNAUTHENTICATED"


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_every_role_of_the_list_is_taken(shop: Shop, role: str) -> None:
    assert list(await not_refused(shop, bearers({role: shop.token(uuid4(), role=role)}))) == [role]


async def test_verified_tokens_are_remembered_and_counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there is room for; a token that is refused takes none."""
    tokens = Tokens(settings, SECRET)
    issued = [tokens.issue(uuid4())[0] for _ in range(5)]
    monkeypatch.setattr(tokens_module, "CACHE_CHARACTERS", 3 * len(issued[0]))
    for token in issued:
        assert await tokens.verify(token) == await tokens.verify(token)
    assert (tokens.hits, tokens.misses, tokens.cached) == (5, 5, 3)
    with pytest.raises(Unauthenticated):
        await tokens.verify(issued[0] + "x")
    assert (tokens.hits, tokens.misses, tokens.cached) == (5, 6, 3)


async def test_a_remembered_token_expires(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(settings, SECRET)
    token, claims = tokens.issue(uuid4())
    assert await tokens.verify(token) == claims
    monkeypatch.setattr(tokens_module.time, "time", lambda: float(claims.expires_at or 0))
    with pytest.raises(Unauthenticated):
        await tokens.verify(token)
    assert tokens.cached == 0
