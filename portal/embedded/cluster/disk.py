"""Keeps the cluster's objects in one SQLite file, written in batches."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS object (
    resource TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

Address = tuple[str, str, str]


class Disk:
    """The file below the store. Without fsync: it outlives the process, not the machine's power."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.executescript(TABLES)

    def objects(self) -> Iterator[tuple[Address, dict[str, Any]]]:
        rows = self._connection.execute("SELECT resource, namespace, name, body FROM object")
        for resource, namespace, name, body in rows:
            yield (resource, namespace, name), json.loads(body)

    def setting(self, name: str) -> str | None:
        row = self._connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def write(self, changes: Iterable[tuple[Address, dict[str, Any] | None]], *, version: int) -> None:
        """Store or forget objects and note the newest version, all in one transaction.

        Raises:
            sqlite3.OperationalError: there was no room; nothing of it is kept.
        """
        self._connection.execute("BEGIN")
        try:
            for address, body in changes:
                self._put(address, body)
            self.set("version", str(version))
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _put(self, address: Address, body: dict[str, Any] | None) -> None:
        if body is None:
            self._connection.execute(
                "DELETE FROM object WHERE resource = ? AND namespace = ? AND name = ?", address
            )
        else:
            text = json.dumps(body, separators=(",", ":"))
            self._connection.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)", (*address, text))

    def close(self) -> None:
        self._connection.close()
