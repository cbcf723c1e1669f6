"""The file that `aclue privacy export` writes is readable by its owner alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from commands.privacy import _opened


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("former", [None, 0o644, 0o666, 0o640])
def test_an_export_is_readable_by_its_owner_alone(tmp_path: Path, former: int | None) -> None:
    file = tmp_path / "export.ndjson"
    if former is not None:
        file.write_text("something longer that stood here before")
        file.chmod(former)
    with _opened(file) as out:
        assert mode(file) == 0o600, "before anything is written"
        out.write(b"export")
    assert (file.read_bytes(), mode(file)) == (b"export", 0o600)


def test_an_export_does_not_go_into_a_file_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "export.ndjson"
    file.write_text("theirs")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(typer.Exit):
        _opened(file)
    assert "belongs to another user" in capsys.readouterr().err
    assert file.read_text() == "theirs"


def test_a_link_of_another_user_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("precious")
    link = tmp_path / "export.ndjson"
    link.symlink_to(tmp_path / "mine")
    found = os.lstat(link)
    theirs = os.stat_result((*found[:4], os.geteuid() + 1, *found[5:10]))
    monkeypatch.setattr(os, "lstat", lambda path: theirs)
    with pytest.raises(typer.Exit):
        _opened(link)
    assert "is a link of another user" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_pipe_keeps_its_mode(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o640)
    before = mode(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with _opened(pipe) as out:
        out.write(b"export")
    assert (os.read(reader, 100), mode(pipe)) == (b"export", before)
    os.close(reader)
