"""Starts the real controller of Argo Rollouts against a control plane."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.api import Api
from tests.cluster.argo_rollouts.build import NAME, definitions, ensure
from tests.cluster.controlplane.processes import ProcessGroup, free_ports
from tests.cluster.objects import wait_for

DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED = "apis/argoproj.io/v1alpha1/rollouts"


@contextlib.contextmanager
def running(admin: Api, kubeconfig: Path) -> Iterator[None]:
    """Install the definitions and run the controller until the block ends."""
    binary = ensure()
    for each in definitions():
        admin.create(DEFINITIONS, each)
    wait_for(lambda: admin.ask("GET", SERVED).code == 200, what="the Rollouts to be served")
    with tempfile.TemporaryDirectory(prefix="portal-argo-rollouts-") as folder:
        processes = ProcessGroup(log_folder=Path(folder))
        metrics, health = free_ports(2)
        flags = {
            "kubeconfig": str(kubeconfig),
            "leader-elect": "false",
            "metricsPort": str(metrics),
            "healthzPort": str(health),
            "loglevel": "warn",
        }
        processes.start(NAME, [str(binary), *(f"--{name}={value}" for name, value in flags.items())])
        try:
            yield
        finally:
            processes.stop()
