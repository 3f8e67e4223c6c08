"""A real Prometheus on loopback; with nothing to scrape what is asked of it is computed from constants."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from portal.embedded.ports import free_port

MISSING = "prometheus is missing; install the Debian package prometheus."
START_SECONDS = 15


@contextmanager
def running_prometheus(folder: Path, *, scraped: str = "") -> Iterator[str]:
    """Serve until the end of the block; yields its address.

    Args:
        scraped: host and port whose /metrics is read five times a second.
    """
    program = shutil.which("prometheus")
    assert program, MISSING
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(_config(scraped)))
    url = f"http://127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address={url.removeprefix('http://')}", "--log.level=error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(url)
            yield url
        finally:
            process.terminate()


def _config(scraped: str) -> dict[str, Any]:
    if not scraped:
        return {"global": {"scrape_interval": "1h"}}
    job = {"job_name": "shop", "static_configs": [{"targets": [scraped]}]}
    return {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [job]}


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise AssertionError(f"Prometheus did not become ready at {url}")
