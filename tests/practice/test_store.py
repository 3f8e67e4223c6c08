"""What the practice cluster keeps on disk, where that is full."""

import asyncio
import logging
from pathlib import Path

import pytest

from portal.embedded.cluster import store as stores
from portal.embedded.cluster.disk import Disk
from portal.embedded.cluster.kinds import CONFIGMAPS
from portal.embedded.cluster.store import Store

LARGE = "x" * 100_000


def config_map(name: str) -> stores.Object:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"text": LARGE}}


async def fill_and_make_room(disk: Disk) -> None:
    store = Store(disk)
    disk._connection.execute("PRAGMA max_page_count = 20")
    store.create(CONFIGMAPS, config_map("one"))
    store.flush()
    store.create(CONFIGMAPS, config_map("two"))
    store.flush()
    assert list(disk.objects()) == []
    disk._connection.execute("PRAGMA max_page_count = 1000")
    await asyncio.sleep(0.01)
    assert store._flush_at is not None
    store.flush()


def test_what_a_full_disk_could_not_take_is_written_once_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(tmp_path / "cluster.sqlite3")
    with caplog.at_level(logging.WARNING):
        asyncio.run(fill_and_make_room(disk))
    assert {name for (_resource, _namespace, name), _body in disk.objects()} == {"one", "two"}
    assert "tried again" in caplog.text
