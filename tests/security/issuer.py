"""An external issuer of tokens, which publishes its keys on a real server."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example/auth/v1"


@dataclass(frozen=True)
class Issuer:
    url: str
    ec_key: ec.EllipticCurvePrivateKey
    rsa_key: rsa.RSAPrivateKey
    jwks: dict[str, Any]  # what is published; a test may change it
    fetches: list[int]  # the status of each answer
    failing: threading.Event  # while set, the answer is 503

    def token(self, algorithm: str = "ES256", kid: str | None = None, key: Any = None, **changes: Any) -> str:
        key = key or (self.ec_key if algorithm == "ES256" else self.rsa_key)
        payload = {
            "iss": ISSUER,
            "aud": "authenticated",
            "sub": str(uuid4()),
            "role": "authenticated",
            "exp": int(time.time()) + 600,
            **changes,
        }
        return jwt.encode(payload, key, algorithm, headers={"kid": kid or f"the {algorithm} key"})

    def published(self) -> list[bytes]:
        """The public keys as texts that somebody might take for a secret."""
        found = [json.dumps(key).encode() for key in self.jwks["keys"]]
        for key in (self.ec_key.public_key(), self.rsa_key.public_key()):
            for form in (serialization.Encoding.PEM, serialization.Encoding.DER):
                found.append(key.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo))
        return [*found, *[text.strip() for text in found]]


@functools.cache
def _keys() -> tuple[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey]:
    return ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)


@contextlib.contextmanager
def publishing() -> Iterator[Issuer]:
    """An issuer whose keys are served while the block runs."""
    ec_key, rsa_key = _keys()
    jwks = {
        "keys": [
            {**ECAlgorithm.to_jwk(ec_key.public_key(), as_dict=True), "kid": "the ES256 key", "use": "sig"},
            {**RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True), "kid": "the RS256 key", "use": "sig"},
        ]
    }

    fetches: list[int] = []
    failing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(jwks).encode()
            fetches.append(503 if failing.is_set() else 200)
            self.send_response(fetches[-1])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Issuer(f"http://127.0.0.1:{server.server_port}/jwks.json", ec_key, rsa_key, jwks, fetches, failing)
        server.shutdown()
        thread.join()
