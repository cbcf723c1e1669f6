"""The requirements files are complete on every supported Python, not only on the one that compiled them."""

import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.requirements import ROOT, Pin, Target, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ROOTS = {
    "requirements.txt": PROJECT["dependencies"],
    "requirements-redis.txt": EXTRAS["redis"],
    "requirements-tracing.txt": EXTRAS["tracing"],
    "requirements-training.txt": EXTRAS["training"],
    "requirements-dev.txt": [
        *PROJECT["dependencies"],
        *EXTRAS["redis"],
        *EXTRAS["tracing"],
        *EXTRAS["training"],
        *EXTRAS["dev"],
    ],
}
PYTHONS = ("3.11.0", "3.11.2", "3.11.3", "3.12.0", "3.13.0", "3.14.0")
TARGETS = [Target(python, machine) for python in PYTHONS for machine in ("x86_64", "aarch64")]


def needs(requirement: Requirement, target: Target) -> list[Requirement]:
    """What this requirement needs there in turn. A package that is not installed here needs nothing: it is one that
    only another Python needs, and `make check-requirements` installs none either."""
    try:
        declared = [Requirement(text) for text in metadata.requires(requirement.name) or ()]
    except metadata.PackageNotFoundError:
        return []
    environments = [{**target.environment, "extra": extra} for extra in ("", *requirement.extras)]
    return [
        need for need in declared if need.marker is None or any(need.marker.evaluate(known) for known in environments)
    ]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.python}-{target.machine}")
@pytest.mark.parametrize("name", ROOTS)
def test_whatever_a_package_needs_is_pinned(name: str, target: Target) -> None:
    pinned = {canonicalize_name(pin.requirement.name): pin for pin in pins(name) if pin.applies_to(target)}
    waiting = [Requirement(text) for text in ROOTS[name]]
    visited = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in visited:
            continue
        visited.add(str(requirement))
        pin = pinned.get(canonicalize_name(requirement.name))
        assert pin, f"{name} lacks {requirement}"
        (exact,) = pin.requirement.specifier
        assert requirement.specifier.contains(exact.version, prereleases=True), f"{name}: {exact} for {requirement}"
        waiting += needs(requirement, target)


@pytest.mark.parametrize("name", ROOTS)
def test_every_line_is_an_exact_version_with_hashes(name: str) -> None:
    def is_exact(pin: Pin) -> bool:
        return [specifier.operator for specifier in pin.requirement.specifier] == ["=="] and bool(pin.hashes)

    assert [str(pin) for pin in pins(name) if not is_exact(pin)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-redis.txt", "requirements-tracing.txt"])
def test_the_tests_run_with_the_versions_of_the_product(name: str) -> None:
    tested = {(str(pin.requirement), pin.hashes) for pin in pins("requirements-dev.txt")}
    assert {(str(pin.requirement), pin.hashes) for pin in pins(name)} <= tested
