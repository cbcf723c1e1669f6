"""Java's own HTTP client, which asks for HTTP/2 with every first request of a connection: `Upgrade: h2c`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.e2e.conftest import HANGS, Service

PROGRAM = Path(__file__).with_name("Ask.java")
QUERY = json.dumps({"query": "{ __typename }"})
MUTATION = json.dumps({"query": "mutation { startSession(input: {}) { userErrors { code } } }"})
ANSWERS = [{"data": {"__typename": "Query"}}, {"data": {"startSession": {"userErrors": []}}}]

# As Java 17.0.21 sends it, in one packet with the body.
HEAD = (
    "POST /graphql HTTP/1.1\r\n"
    "Connection: Upgrade, HTTP2-Settings\r\n"
    "Content-Length: {length}\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\n"
    "Upgrade: h2c\r\n"
    "User-Agent: Java-http-client/17.0.21.1\r\n"
    "Content-Type: application/json\r\n"
    "\r\n"
    "{body}"
)


def test_javas_client_is_answered(service: Service) -> None:
    if shutil.which("javac") is None:
        pytest.skip("no JDK is here: Java's client was not run; what it sends was, by the test below")
    command = ["java", str(PROGRAM), f"{service.url}/graphql", QUERY, MUTATION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    answers = [line.split(" ", 1) for line in done.stdout.splitlines()]
    assert [(status, json.loads(body)) for status, body in answers] == [("200", answer) for answer in ANSWERS]


def test_what_javas_client_sends_is_answered_on_one_connection(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), HANGS) as connection:
        for body, expected in zip((QUERY, MUTATION), ANSWERS, strict=True):
            connection.sendall(HEAD.format(length=len(body), port=service.port, body=body).encode())
            answer = HTTPResponse(connection)
            answer.begin()
            assert (answer.status, json.loads(answer.read())) == (200, expected)
