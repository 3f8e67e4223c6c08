"""`python -m portal.embedded.cluster`: starts the practice cluster."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from portal.embedded.cluster.kubelet import Times
from portal.embedded.cluster.server import Settings, run


def _settings(arguments: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m portal.embedded.cluster", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps the objects")
    parser.add_argument("--port", type=int, required=True, help="port of the API on 127.0.0.1")
    parser.add_argument("--registry-port", type=int, required=True, help="port of the registry on 127.0.0.1")
    parser.add_argument("--prometheus-port", type=int, help="port of the demo's Prometheus on 127.0.0.1")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="file to write for the administrator")
    parser.add_argument("--manifest", type=Path, action="append", default=[], help="YAML, at the first start")
    parser.add_argument("--images", type=Path, help="YAML of what the registry offers")
    parser.add_argument("--audit-log", type=Path, help="file to add to: what was asked, a line each")
    usual = Times()
    for name in ("pull", "start", "ready", "terminate", "job"):
        parser.add_argument(f"--{name}-seconds", type=float, default=getattr(usual, name), metavar="S")
    given = parser.parse_args(arguments)
    times = Times(
        given.pull_seconds,
        given.start_seconds,
        given.ready_seconds,
        given.terminate_seconds,
        given.job_seconds,
    )
    return Settings(
        data=given.data,
        port=given.port,
        registry_port=given.registry_port,
        prometheus_port=given.prometheus_port,
        kubeconfig=given.kubeconfig,
        manifests=tuple(given.manifest),
        images=given.images,
        audit_log=given.audit_log,
        times=times,
    )


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    asyncio.run(run(_settings(sys.argv[1:])))
