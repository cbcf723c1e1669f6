"""Secrets of a development installation: generated on first use, stored in ACLUE_HOME/secrets.json, for its owner
only."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from settings import SettingsError


class Secrets(msgspec.Struct, frozen=True):
    jwt: str
    superuser_password: str
    owner_password: str
    api_password: str

    @property
    def worker_password(self) -> str:
        """Derived, so that files of earlier releases have it."""
        return hashlib.sha256(f"worker {self.api_password}".encode()).hexdigest()


def file_of(home: Path) -> Path:
    return home / "secrets.json"


def create(home: Path, made: Secrets) -> None:
    """Stores the secrets of this data folder, unless it has some. Raises OSError."""
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f".secrets-{os.getpid()}.json"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(made))
    try:
        os.link(draft, file_of(home))  # if two processes start at once, the first one wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def load_or_create(home: Path) -> Secrets:
    """The secrets of this data folder. Raises SettingsError if the folder cannot be written, or the file cannot be read
    or belongs to another user."""
    path = file_of(home)
    try:
        if not path.exists():
            create(home, Secrets(*(secrets.token_urlsafe(36) for _ in Secrets.__struct_fields__)))
        with path.open("rb") as file:
            _keep_private(file.fileno(), path)
            return msgspec.json.decode(file.read(), type=Secrets)
    except OSError as error:
        raise SettingsError(f"ACLUE_HOME: {home} cannot be used: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise SettingsError(f"ACLUE_HOME: {path} is damaged ({error}); remove the data folder to start over") from None


def _keep_private(descriptor: int, path: Path) -> None:
    """Raises SettingsError for a file of another user, who knows these secrets and may have chosen them."""
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise SettingsError(
            f"ACLUE_HOME: {path} belongs to the user {found.st_uid}, not to {os.geteuid()}, who runs this; "
            "run it as that user, or remove the data folder to start over"
        )
    if found.st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
