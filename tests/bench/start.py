"""How soon `make run` is ready, and what the whole tree of processes holds in memory."""

import time

from tests.bench.portal import running_portal
from tests.bench.row import Row

ROUNDS = 3
REST_SECONDS = 5
READY_SECONDS = 20
MEMORY_MIB = 1024


def run() -> list[Row]:
    """Start on an empty folder several times."""
    seconds, memory = [], []
    for _round in range(ROUNDS):
        with running_portal() as portal:
            seconds.append(portal.ready_seconds)
            portal.call("jiho", "GET", "/releases")
            time.sleep(REST_SECONDS)
            memory.append(portal.memory_mib())
    return [
        Row.of("first start on an empty folder until ready", seconds, "s", target=READY_SECONDS),
        Row.of("memory of the whole process tree (PSS)", memory, "MiB", target=MEMORY_MIB),
    ]
