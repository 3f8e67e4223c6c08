"""What kubectl prints while something happens, each line with its time."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.bench.portal import Portal

Lines = list[tuple[float, str]]


@contextmanager
def kubectl_lines(portal: Portal, namespace: str, *words: str) -> Iterator[Lines]:
    """Follow what kubectl prints: (seconds of the wall clock, line), whole when the block has ended."""
    command = ["kubectl", "--kubeconfig", portal.kubeconfig, "-n", namespace, *words]
    lines: Lines = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        time.sleep(1)  # the first list is read
        yield lines
    finally:
        process.terminate()
        process.wait(10)
        reader.join(10)


def _read(stream: IO[str], lines: Lines) -> None:
    with stream:
        for line in stream:
            lines.append((time.time(), line.rstrip("\n")))
