"""What a start tells people and programs: `demo.json` and the table of sign-in links."""

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Person = Mapping[str, Any]
ROLES = ("web", "worker", "watcher", "sweeper")
SERVERS = ("postgres", "valkey", "cluster")


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write the file in one move, readable by its owner only: it holds tokens."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    draft.replace(path)


def people_in(printed: str) -> list[Person]:
    """Return the people that `manage.py demo --print-people` printed, whatever warnings came before.

    Raises:
        ValueError: There is no list in it.
    """
    lines = printed.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("["):
            return list(json.loads("\n".join(lines[number:])))
    raise ValueError("no list of people was printed")


def table(people: Iterable[Person]) -> list[str]:
    """Return one line per person: who, in which roles, and the link that signs them in."""
    rows = [(str(person["name"]), _roles(person), str(person["login_url"])) for person in people]
    if not rows:
        return []
    widths = [max(_width(row[column]) for row in rows) for column in (0, 1)]
    return [f"{_padded(name, widths[0])}  {_padded(roles, widths[1])}  {link}" for name, roles, link in rows]


def _roles(person: Person) -> str:
    return ", ".join(f"{entry['role']} ({entry['scope']})" for entry in person.get("roles", []))


def _width(text: str) -> int:
    """Count the columns of a terminal; a Korean syllable takes two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
