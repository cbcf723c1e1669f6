"""Hand-crafted tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from tests.conftest import SECRET


def encoded(value: bytes | dict[str, Any] | str) -> str:
    raw = json.dumps(value).encode() if isinstance(value, dict) else value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: dict[str, Any] | str, payload: dict[str, Any] | str, secret: str = SECRET) -> str:
    """A hand-crafted token, with content that no library would sign."""
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"
