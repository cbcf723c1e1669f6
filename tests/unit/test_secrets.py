"""Secrets of a development installation are their owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db import secrets
from settings import SettingsError
from tests.unprivileged import NEEDS_ROOT

SOMEBODY_ELSE = 65_534


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    made = secrets.load_or_create(tmp_path)
    assert secrets.load_or_create(tmp_path) == made
    assert mode(tmp_path / "secrets.json") == 0o600


@pytest.mark.parametrize("former", [0o644, 0o640, 0o604, 0o620, 0o602, 0o666, 0o610])
def test_a_file_that_others_may_open_is_closed_to_them(tmp_path: Path, former: int) -> None:
    made = secrets.load_or_create(tmp_path)
    (tmp_path / "secrets.json").chmod(former)
    assert secrets.load_or_create(tmp_path) == made
    assert mode(tmp_path / "secrets.json") == 0o600


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.load_or_create(tmp_path)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(
        SettingsError, match=rf"^ACLUE_HOME: .*secrets.json belongs to the user {mine}, not to {mine + 1}"
    ):
        secrets.load_or_create(tmp_path)


@NEEDS_ROOT
def test_root_does_not_use_the_secrets_of_another_user(tmp_path: Path) -> None:
    secrets.load_or_create(tmp_path)
    os.chown(tmp_path / "secrets.json", SOMEBODY_ELSE, -1)
    (tmp_path / "secrets.json").chmod(0o644)
    with pytest.raises(SettingsError, match=f"belongs to the user {SOMEBODY_ELSE}"):
        secrets.load_or_create(tmp_path)
    assert mode(tmp_path / "secrets.json") == 0o644
