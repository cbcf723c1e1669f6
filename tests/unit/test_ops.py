"""The files for deployment: what they name exists. Docker runs in no test; nginx does, in tests/e2e."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import settings as settings_module
from cli import app
from settings import Settings

ROOT = Path(__file__).parent.parent.parent
OPS = ROOT / "ops"
VARIABLES = set(Settings.__struct_encode_fields__)
OTHERS = {"OWNER_PASSWORD", "POSTGRES_PASSWORD", "PATH", "PYTHONUNBUFFERED"}
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
SECRETS = ("JWT_SECRET", "ENCRYPTION_SECRET", "ERASURE_SECRET")


def read(name: str) -> str:
    return (OPS / name).read_text()


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
    return found


def example() -> dict[str, str]:
    lines = [line for line in read("compose.env.example").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def instructions(name: str) -> list[str]:
    """Of the Dockerfile, by their first word."""
    text = read("Dockerfile").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_every_variable_is_one_that_is_read() -> None:
    named = set(example())
    for service in compose()["services"].values():
        named |= set(service.get("environment", {}))
    named |= {pair.split("=")[0] for line in instructions("ENV") for pair in line.split()}
    named |= set(re.findall(r"^Environment=(\w+)=", read("aclue.service"), re.M))
    assert named >= {"DATABASE_URL", "REDIS_URL", "HOST", "ENVIRONMENT", "OWNER_PASSWORD"}
    assert named - VARIABLES - OTHERS == set()


def test_the_example_is_valid_in_production_once_it_has_secrets() -> None:
    given = example()
    assert [name for name, value in given.items() if not value] == list(SECRETS)
    given |= dict.fromkeys(SECRETS, "a" * 64)  # as `openssl rand -hex 32` makes them, also for the URLs
    loaded = settings_module.load({**given, "ENVIRONMENT": "production", "REDIS_URL": "redis://redis:6379/0"})
    assert loaded.is_production
    assert {loaded.database_url, loaded.migration_database_url} == {
        given["DATABASE_URL"],
        given["MIGRATION_DATABASE_URL"],
    }
    assert f":{given['OWNER_PASSWORD']}@" in loaded.migration_database_url, "the owner's password is the one created"
    assert all("rand -base64" not in line for line in read("compose.env.example").splitlines()), "/ and + break URLs"


def test_every_command_exists() -> None:
    ran = [compose()["services"]["migrate"]["command"][0]]
    ran += re.findall(r'"(\w+)"', instructions("CMD")[-1])
    ran += re.findall(r"^ExecStart=/opt/aclue/\.venv/bin/aclue (\w+)$", read("aclue.service"), re.M)
    ran += re.findall(r"^ExecStart=/opt/aclue/\.venv/bin/aclue (\w+)$", read("aclue-worker.service"), re.M)
    assert set(ran) == {"migrate", "serve", "worker"}
    assert set(ran) <= COMMANDS


def test_the_image_has_all_code_and_nothing_else() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name for name in kept if not (ROOT / name).exists()} == set()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
    modules = {path.name for path in ROOT.glob("*.py")}
    assert packages | modules | {"sql", "web", "catalogue"} <= kept
    assert not kept & {"tests", "bench", ".env", ".aclue", "ops"}
    for line in instructions("COPY"):
        sources = [part for part in line.split()[:-1] if not part.startswith("--")]
        if "--from" not in line:
            assert all((ROOT / source).exists() for source in sources if not source.endswith("*")), line


def test_services_that_are_depended_on_exist() -> None:
    services = compose()["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (OPS / source).exists() if source.startswith("./") else source in compose()["volumes"]
    assert (OPS / "compose-owner.sh").stat().st_mode & 0o111, "the image of Postgres runs what is executable"
    named = set(re.findall(r"server ([\w-]+):8000", read("nginx.conf")))
    assert named <= set(services)


@pytest.mark.parametrize("name", ["aclue.service", "aclue-worker.service"])
def test_systemd_accepts_the_unit(name: str, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here")
    unit = tmp_path / name
    unit.write_text(read(name).replace("/opt/aclue/.venv/bin/aclue", "/bin/true"))  # which it looks for
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
