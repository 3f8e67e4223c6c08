"""`python -m tests.bench [NAME ...]`: runs the benchmarks, prints a table, writes bench-results.json."""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.row import Row

NAMES = (
    "start",
    "rollout",
    "systems",
    "failure",
    "sockets",
    "lists",
    "board",
    "audit",
    "rules",
    "decision",
    "inbox",
    "million",
    "many",
    "waiting",
    "memory",
    "canary",
)
ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results.json"
MARK = "RESULT "
LONGEST_SECONDS = 1800


def main() -> int:
    """Run each benchmark in a process of its own; say whether all targets were met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all without")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if options.one:
        rows: list[Row] = importlib.import_module(f"tests.bench.{options.one}").run()
        print(MARK + json.dumps([row.as_json() for row in rows]))
        return 0
    results = {name: _measure(name) for name in options.names or NAMES}
    _write(results)
    return 0 if all(results.values()) else 1


def _measure(name: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench", "--one", name]
    before = os.getloadavg()[0]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=LONGEST_SECONDS, check=False
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not found:
        print(f"{name:9} failed:", *done.stdout.splitlines()[-20:], sep="\n", flush=True)
        return []
    rows: list[dict[str, Any]] = json.loads(found[-1].removeprefix(MARK))
    for row in rows:
        row["load_before"] = round(before, 2)
        print(_line(name, row), flush=True)
    return rows


def _line(name: str, row: dict[str, Any]) -> str:
    target = ""
    if row["target"] is not None:
        sign = "≥" if row["higher_is_better"] else "≤"
        target = f"{sign} {row['target']:g}  {'met' if row['met'] else 'MISSED'}"
    noise = f"±{row['spread'] / 2:.3g}" if row["runs"] else ""
    return f"{name:9} {row['what']:68} {row['value']:12.3f} {row['unit']:10} {noise:8} {target}"


def _write(results: dict[str, list[dict[str, Any]]]) -> None:
    """Keep the results of benchmarks that were not run this time."""
    kept = json.loads(RESULTS.read_text())["benchmarks"] if RESULTS.exists() else {}
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    new = {name: {"at": at, "rows": rows} for name, rows in results.items() if rows}
    content = {"machine": machine, "benchmarks": {**kept, **new}}
    RESULTS.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
