"""Instrument files on disk: a TOML file, and its norms beside it in `<name>.norms.json`."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from domain.instruments import BadInstrument, Document, norms_from_json, parse, with_norms

_ROOT = Path(__file__).resolve().parent.parent / "catalogue"
FOLDERS = (_ROOT / "reference" / "quiz", _ROOT / "instruments")


def norms_path(path: Path) -> Path:
    return path.with_suffix(".norms.json")


def find(name: str) -> Path | None:
    """The file of this path, or the one that is shipped under this code; None if there is neither."""
    candidates = (Path(name), *(folder / f"{name}.toml" for folder in FOLDERS))
    return next((path for path in candidates if path.is_file()), None)


def load(path: Path) -> Document:
    """Reads an instrument, with norms if it has a file of them. Raises BadInstrument, which names the file at fault."""
    document = _parse(path)
    norms = norms_path(path)
    if not norms.exists():
        return document
    try:
        instrument = with_norms(document.instrument, norms_from_json(document.instrument, norms.read_bytes()))
    except (OSError, BadInstrument) as error:
        raise BadInstrument(f"{norms}: {error}") from None
    return replace(document, instrument=instrument)


def load_without_norms(path: Path) -> Document:
    """Reads an instrument that is about to be normed. Raises BadInstrument, which names the file."""
    return _parse(path)


def _parse(path: Path) -> Document:
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, BadInstrument) as error:
        raise BadInstrument(f"{path}: {error}") from None
