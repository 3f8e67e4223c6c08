"""The servers that come along, as parts for the supervisor: PostgreSQL, Valkey and the practice cluster."""

import sys
from dataclasses import dataclass
from pathlib import Path

from portal.embedded import ports
from portal.embedded.child import REPOSITORY, Command
from portal.embedded.postgres import Postgres
from portal.embedded.supervisor import Part
from portal.embedded.valkey import Valkey

EXAMPLES = REPOSITORY / "deploy" / "examples"


@dataclass(frozen=True)
class PracticeCluster:
    """Where the practice cluster, its registry and the demo's Prometheus answer, and where it keeps data."""

    data: Path
    port: int
    registry_port: int
    prometheus_port: int
    with_examples: bool
    audit_log: str = ""

    @property
    def kubeconfig(self) -> Path:
        """Return the file that the cluster writes for kubectl and the portal."""
        return self.data / "kubeconfig"

    @property
    def authority(self) -> Path:
        """Return the certificate that vouches for what the cluster serves over TLS."""
        return self.data / "cluster" / "tls.crt"

    def command(self) -> Command:
        """Return the cluster as a process of its own."""
        argv = [sys.executable, "-m", "portal.embedded.cluster", "--data", str(self.data / "cluster")]
        argv += ["--port", str(self.port), "--registry-port", str(self.registry_port)]
        argv += ["--prometheus-port", str(self.prometheus_port)]
        argv += ["--kubeconfig", str(self.kubeconfig), "--images", str(EXAMPLES / "images.yaml")]
        if self.audit_log:
            argv += ["--audit-log", self.audit_log]
        if self.with_examples:
            for file in sorted(EXAMPLES.glob("*/objects.yaml")):
                argv += ["--manifest", str(file)]
        return Command(tuple(argv))

    def is_ready(self) -> bool:
        """Say whether all of them listen and the kubeconfig is written."""
        doors = (self.port, self.registry_port, self.prometheus_port)
        return self.kubeconfig.exists() and all(map(ports.answers, doors))


def postgres_part(server: Postgres) -> Part:
    """Return PostgreSQL as a part."""
    return Part(
        "postgres",
        "postgres",
        server.command(),
        server.is_ready,
        prepare=server.prepare,
        after_ready=server.open_for_portal,
    )


def valkey_part(server: Valkey) -> Part:
    """Return Valkey as a part."""
    return Part("valkey", "valkey", server.command(), server.is_ready, prepare=server.prepare)


def cluster_part(cluster: PracticeCluster) -> Part:
    """Return the practice cluster as a part."""
    return Part("cluster", "cluster", cluster.command(), cluster.is_ready)
