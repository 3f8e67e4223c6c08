"""A real Prometheus on loopback, with nothing to scrape: what is asked of it is computed from constants."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from portal.embedded.ports import free_port

MISSING = "prometheus is missing; install the Debian package prometheus."
START_SECONDS = 15


@contextmanager
def running_prometheus(folder: Path) -> Iterator[str]:
    """Serve until the end of the block; yields its address."""
    program = shutil.which("prometheus")
    assert program, MISSING
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h}\n")
    url = f"http://127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(url)
            yield url
        finally:
            process.terminate()


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise AssertionError(f"Prometheus did not become ready at {url}")
