"""What importing a feed takes: the first time, again without changes, and with every hundredth price changed.

    make bench-imports                              20,000 products of CSV
    make bench-imports ROWS="20000 200000"          and 200,000
    make bench-imports BEFORE=../before             beside another checkout
    .venv/bin/python bench/imports.py --size-mb 1000 --format xml

Each size and checkout has a process and an empty database of its own. CPU is that of the importing process and of its
Postgres backend together (Linux), which other work on the machine changes less than the time that passes. Exit code 1
when the importing process takes more than 300 MB of memory, or if the counts of an import are wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MAX_MB = 300.0
EDITED = 100  # one row in so many


def run(checkout: Path, mapping: Path, first: Path, edited: Path) -> None:
    """In a process of its own, with the code of this checkout: prints a line of JSON for each import."""
    sys.path.insert(0, str(checkout))
    from tests import bases

    with bases.started() as base:  # which runs a loop of its own
        asyncio.run(imports(base, mapping, first, edited))


async def imports(base: Any, mapping_path: Path, first: Path, edited: Path) -> None:
    import asyncpg

    from db.product_imports import import_products, load_mapping
    from tests import bases
    from tests.conftest import cloned

    await bases.make_templates(base)
    mapping = load_mapping(mapping_path)
    async with cloned(base, bases.TEMPLATE) as dsns:
        owner = await asyncpg.connect(dsns.owner)
        backend = Path(f"/proc/{owner.get_server_pid()}/schedstat")

        def computed() -> float:
            return time.process_time() + int(backend.read_text().split()[0]) / 1e9

        for name, feed in (("first time", first), ("unchanged", first), ("1 % edited", edited)):
            cpu, started = computed(), time.perf_counter()
            report = await import_products(owner, feed, mapping)
            found = {
                "import": name, "seconds": time.perf_counter() - started, "cpu": computed() - cpu, "read": report.read,
                "inserted": report.inserted, "updated": report.updated,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }  # fmt: skip
            print(json.dumps(found), flush=True)
        await owner.close()


def measure(checkout: Path, format: str, rows: int, size: int, folder: Path) -> bool:
    """Prints a line for each import; whether all were as they should be."""
    from bench import feeds

    mapping = folder / f"{format}.toml"
    mapping.write_text(feeds.mapping_text(format))
    first, edited = folder / f"first.{format}", folder / f"edited.{format}"
    count = feeds.write(first, format, size, rows)
    feeds.write(edited, format, sys.maxsize, count, EDITED)
    command = [sys.executable, __file__, "--run", str(checkout), str(mapping), str(first), str(edited)]
    is_right = True
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found = json.loads(line)
            read, name = found["read"], found["import"]
            expected = {"first time": (read, 0), "unchanged": (0, 0), "1 % edited": (0, read // EDITED)}[name]
            is_right &= (found["inserted"], found["updated"]) == expected and found["memory"] <= MAX_MB
            print(
                f"{checkout.name:12}{format:5}{read:>9} rows  {name:11}{found['seconds']:>8.1f} s "
                f"{found['cpu']:>8.1f} s CPU {found['cpu'] / read * 1000:>7.2f} ms/row {found['memory']:>5.0f} MB",
                flush=True,
            )
    return is_right and process.returncode == 0


def main() -> int:
    if sys.argv[1:2] == ["--run"]:
        checkout, mapping, first, edited = map(Path, sys.argv[2:])
        run(checkout, mapping, first, edited)
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[20_000])
    parser.add_argument("--size-mb", type=int, default=0, help="instead of a number of rows")
    parser.add_argument("--format", default="csv", choices=("csv", "tsv", "xml", "json"))
    parser.add_argument("before", nargs="*", type=Path, help="other checkouts")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    sizes = (
        [(sys.maxsize, options.size_mb * 1_000_000)] if options.size_mb else [(n, sys.maxsize) for n in options.rows]
    )
    is_right = True
    with tempfile.TemporaryDirectory() as folder:
        for rows, size in sizes:
            for checkout in (*options.before, ROOT):
                is_right &= measure(checkout.resolve(), options.format, rows, size, Path(folder))
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
