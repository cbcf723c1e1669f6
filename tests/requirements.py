"""`make check-requirements`: whether every pinned package has a wheel on the oldest and the newest supported Python,
on both architectures. Downloads some 370 MB to a temporary folder, against the pinned hashes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
_GLIBC_MINOR_VERSIONS = range(17, 37)  # manylinux2014 to Debian 12


class Target(NamedTuple):
    """A Linux machine with CPython."""

    python: str  # full version
    machine: str

    @property
    def environment(self) -> dict[str, str]:
        """What environment markers are evaluated with."""
        return {
            **{name: str(value) for name, value in default_environment().items()},
            "python_full_version": self.python,
            "python_version": self.python.rpartition(".")[0],
            "implementation_version": self.python,
            "platform_machine": self.machine,
        }


class Pin(NamedTuple):
    requirement: Requirement
    hashes: tuple[str, ...]

    def applies_to(self, target: Target) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(target.environment)

    def __str__(self) -> str:
        """A line of a requirements file, without the marker."""
        hashes = "".join(f" --hash={value}" for value in self.hashes)
        return f"{self.requirement.name}{self.requirement.specifier}{hashes}"


def pins(name: str) -> list[Pin]:
    """What this requirements file pins. Raises ValueError where a line is no pin, such as the URL of an index."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for line in lines:
        requirement, *hashes = line.split("--hash=")
        found.append(Pin(Requirement(requirement.strip()), tuple(value.strip() for value in hashes)))
    return found


def download(target: Target, folder: Path) -> bool:
    """Whether pip finds a wheel of each package. It evaluates markers for the Python it runs on, so they are
    evaluated here."""
    wanted = folder / "requirements.txt"
    wanted.write_text("\n".join(str(pin) for pin in pins("requirements-dev.txt") if pin.applies_to(target)))
    platforms = [f"--platform=manylinux_2_{minor}_{target.machine}" for minor in _GLIBC_MINOR_VERSIONS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += ["--only-binary=:all:", "--no-deps", "--implementation=cp", f"--python-version={target.python}"]
    command += [*platforms, f"--platform=manylinux2014_{target.machine}", f"--dest={folder}", f"--requirement={wanted}"]
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    complete = True
    for target in (Target(python, machine) for python in ("3.11.0", "3.14.0") for machine in ("x86_64", "aarch64")):
        with tempfile.TemporaryDirectory(prefix="aclue-wheels-") as folder:
            found = download(target, Path(folder))
        outcome = "all wheels found" if found else "WHEELS MISSING"
        print(f"{outcome}: Python {target.python}, {target.machine}", flush=True)
        complete = complete and found
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
