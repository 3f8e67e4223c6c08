"""The command lines of the control plane's processes, all on loopback."""

from collections.abc import Mapping
from pathlib import Path

from tests.cluster.controlplane.build import Tools

OPEN_PATHS = "/healthz,/readyz,/livez,/metrics"


def etcd(tools: Tools, *, folder: Path, port: int, peer_port: int) -> list[str]:
    own, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    places = ["--name", "n0", "--data-dir", str(folder / "etcd"), "--initial-cluster", f"n0={peer}"]
    clients = ["--listen-client-urls", own, "--advertise-client-urls", own]
    peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    # The data ends with the tests: nothing need reach the disk.
    return [tools.binary("etcd"), *places, *clients, *peers, "--unsafe-no-fsync", "--log-level", "warn"]


def api_server(
    tools: Tools, *, folder: Path, port: int, etcd_port: int, more: Mapping[str, str]
) -> list[str]:
    """`more` adds flags or replaces them."""
    key = str(folder / "admin.key")
    flags = {
        "etcd-servers": f"http://127.0.0.1:{etcd_port}",
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "tls-cert-file": str(folder / "admin.crt"),
        "tls-private-key-file": key,
        "client-ca-file": str(folder / "ca.crt"),
        "token-auth-file": str(folder / "tokens.csv"),
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": "10.0.0.0/24",
        "endpoint-reconciler-type": "none",
        "allow-privileged": "true",
        **more,
    }
    return [tools.binary("kube-apiserver"), *(f"--{name}={value}" for name, value in flags.items())]


def controllers(tools: Tools, *, folder: Path, port: int) -> list[str]:
    flags = {
        "kubeconfig": str(folder / "kubeconfig"),
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "authorization-always-allow-paths": OPEN_PATHS,
        "root-ca-file": str(folder / "ca.crt"),
        "service-account-private-key-file": str(folder / "admin.key"),
        "leader-elect": "false",
        # With the stock limit of 20 requests a second, tests that roll out together wait for each other.
        "kube-api-qps": "500",
        "kube-api-burst": "1000",
        # The stock 15 s would be most of a test's time.
        "horizontal-pod-autoscaler-sync-period": "2s",
    }
    return [tools.binary("kube-controller-manager"), *(f"--{name}={value}" for name, value in flags.items())]


def scheduler(tools: Tools, *, folder: Path, port: int) -> list[str]:
    flags = {
        "kubeconfig": str(folder / "kubeconfig"),
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "authorization-always-allow-paths": OPEN_PATHS,
        "leader-elect": "false",
    }
    return [tools.binary("kube-scheduler"), *(f"--{name}={value}" for name, value in flags.items())]


def kwok(tools: Tools, *, folder: Path, port: int) -> list[str]:
    flags = {
        "kubeconfig": str(folder / "kubeconfig"),
        "manage-all-nodes": "true",
        "config": str(folder / "stages.yaml"),
        "node-ip": "127.0.0.1",
        "node-lease-duration-seconds": "40",
        "server-address": f"127.0.0.1:{port}",
    }
    return [tools.binary("kwok"), *(f"--{name}={value}" for name, value in flags.items())]
