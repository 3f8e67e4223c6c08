"""Starts the real control plane: etcd, API server, controllers, scheduler, and kwok in the place of nodes."""

import argparse
import contextlib
import json
import secrets
import shutil
import signal
import ssl
import sys
import tempfile
import types
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any, Literal, Self

import yaml

from tests.cluster.api import Json
from tests.cluster.controlplane import commands, network
from tests.cluster.controlplane.build import BuildError, ensure
from tests.cluster.controlplane.certificates import write_certificates
from tests.cluster.controlplane.network import egress
from tests.cluster.controlplane.nodes import collection_of, policies, reporting
from tests.cluster.controlplane.processes import ProcessGroup, StartError, free_ports
from tests.cluster.rights import GROUP, binding, role

PodStages = Literal["fast", "general"]
FAILING_PODS = Path(__file__).parent / "failing-pods.yaml"
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "500"}


class ControlPlane:
    """A whole cluster on loopback for the time of a `with` block.

    `kubeconfig` names a file with two contexts: `admin` (current) and `limited`, whose token has the portal's
    rights only. Nothing outlives the process that started it.
    """

    def __init__(
        self,
        *,
        pod_stages: PodStages = "fast",
        nodes: int = 3,
        images: Path | None = None,
        audit: Json | None = None,
    ) -> None:
        """Say what is to be started.

        Args:
            images: what a registry offers; with it nodes have a network (network.py) and know of images.
            audit: a policy; what the API server noted by it is in `audit_log`.
        """
        self._pod_stages = pod_stages
        self._node_count = nodes
        self._images = images
        self._audit = audit
        self._tokens = {"admin": secrets.token_hex(16), "limited": secrets.token_hex(16)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until pods can run.

        Raises:
            BuildError: there are no binaries and they cannot be built.
            StartError: a process did not come up.
        """
        self._tools = ensure()
        self.folder = Path(tempfile.mkdtemp(prefix="portal-control-plane-"))
        self._processes = ProcessGroup(log_folder=self.folder)
        try:
            self._start_servers()
            self._start_network()
            self._make_nodes()
            self._make_limited_user()
            self._processes.wait_until(self._pods_can_run, name="kube-controller-manager", seconds=60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._processes.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def registry(self) -> str:
        """Where the registry of the network answers."""
        return f"http://127.0.0.1:{self._registry_port}"

    @property
    def audit_log(self) -> Path:
        """What the API server noted, one JSON object a line."""
        return self.folder / "audit.log"

    @property
    def pids(self) -> dict[str, int]:
        return self._processes.pids

    def _start_servers(self) -> None:
        etcd, peer, api, controllers, scheduler, kwok = free_ports(6)
        self.server = f"https://127.0.0.1:{api}"
        self._write_files()
        start, tools, folder = self._processes.start, self._tools, self.folder
        start("etcd", commands.etcd(tools, folder=folder, port=etcd, peer_port=peer))
        self._processes.wait_until(lambda: _age(etcd), name="etcd", seconds=30)
        command = commands.api_server(tools, folder=folder, port=api, etcd_port=etcd, more=self._flags())
        start("kube-apiserver", command)
        self._processes.wait_until(self._api_is_ready, name="kube-apiserver", seconds=60)
        start("kube-controller-manager", commands.controllers(tools, folder=folder, port=controllers))
        start("kube-scheduler", commands.scheduler(tools, folder=folder, port=scheduler))
        start("kwok", commands.kwok(tools, folder=folder, port=kwok))

    def _flags(self) -> dict[str, str]:
        """The API server's flags for a network, and for an audit log."""
        flags: dict[str, str] = {}
        if self._images is not None:
            file = self._written("egress.yaml", egress(self._socket))
            # Loopback, where a process may listen on each address: nothing carries other ones.
            flags |= {"egress-selector-config-file": file, "service-cluster-ip-range": _loopback_range()}
        if self._audit is not None:
            file = self._written(
                "audit.yaml", {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **self._audit}
            )
            flags |= {"audit-policy-file": file, "audit-log-path": str(self.audit_log)}
        return flags

    def _written(self, name: str, content: Json) -> str:
        (self.folder / name).write_text(yaml.safe_dump(content))
        return str(self.folder / name)

    @property
    def _socket(self) -> Path:
        return self.folder / "pods.sock"

    def _start_network(self) -> None:
        if self._images is None:
            return
        [self._registry_port] = free_ports(1)
        places = {"folder": self.folder, "images": self._images, "socket": self._socket}
        options = [f"--{name}={value}" for name, value in places.items()]
        command = [sys.executable, "-m", network.__name__, *options, f"--registry-port={self._registry_port}"]
        self._processes.start("network", command)
        self._processes.wait_until(network.answers(self._registry_port), name="network", seconds=30)
        for body in policies(self._images):
            self._post(f"/{collection_of(body)}", body)

    def _write_files(self) -> None:
        write_certificates(self.folder)
        users = [f'{self._tokens["admin"]},admin,1,"system:masters"', f"{self._tokens['limited']},portal,2"]
        (self.folder / "tokens.csv").write_text("\n".join(users) + "\n")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()))
        names = ["node/fast", "node/heartbeat-with-lease", f"pod/{self._pod_stages}"]
        texts = [self._tools.stage(name).read_text() for name in names]
        if self._images is not None:
            texts = [reporting(text, self._images) for text in texts]
        (self.folder / "stages.yaml").write_text("\n---\n".join([*texts, FAILING_PODS.read_text()]))

    def _kubeconfig(self) -> dict[str, Any]:
        authority = b64encode((self.folder / "ca.crt").read_bytes()).decode()
        cluster = {"server": self.server, "certificate-authority-data": authority}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}} for name, token in self._tokens.items()],
            "contexts": [
                {"name": name, "context": {"cluster": "test", "user": name}} for name in self._tokens
            ],
            "current-context": "admin",
        }

    def _make_nodes(self) -> None:
        for number in range(self._node_count):
            name = f"node-{number}"
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
            metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
            status = {"capacity": CAPACITY, "allocatable": CAPACITY}
            self._post("/api/v1/nodes", {"kind": "Node", "metadata": metadata, "status": status})

    def _make_limited_user(self) -> None:
        subject = {"apiGroup": GROUP, "kind": "User", "name": "portal"}
        self._post(f"/apis/{GROUP}/v1/clusterroles", role("portal"))
        self._post(f"/apis/{GROUP}/v1/clusterrolebindings", binding("portal", subject=subject))

    def _api_is_ready(self) -> bool:
        try:
            self._call("/readyz")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _pods_can_run(self) -> bool:
        nodes = json.loads(self._call("/api/v1/nodes"))["items"]
        conditions = [
            {c["type"]: c["status"] for c in node["status"].get("conditions", [])} for node in nodes
        ]
        accounts = json.loads(self._call("/api/v1/namespaces/default/serviceaccounts"))["items"]
        tainted = [node for node in nodes if node["spec"].get("taints")]
        return bool(accounts) and not tainted and all(each.get("Ready") == "True" for each in conditions)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        # Several groups share the word v1, so the address tells the version that the body needs.
        version = "v1" if path.startswith("/api/") else "/".join(path.split("/")[2:4])
        self._call(path, body={"apiVersion": version, **body})

    def _call(self, path: str, *, body: dict[str, Any] | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._tokens['admin']}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data=data, headers=headers)
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            return bytes(answer.read())


def _loopback_range() -> str:
    """A range of its own: other clusters of this machine listen on other addresses."""
    return f"127.{64 + secrets.randbelow(128)}.{16 * secrets.randbelow(16)}.0/20"


def _age(etcd_port: int) -> bool:
    """Give the store a past before the API server reads it, false while it does not answer yet.

    In a store as young as the API server every version is still cached, and none is too old (410).
    """
    key, value = b64encode(b"/past").decode(), b64encode(b"x").decode()
    try:
        for _ in range(20):
            _post_json(f"http://127.0.0.1:{etcd_port}/v3/kv/put", {"key": key, "value": value})
        _post_json(f"http://127.0.0.1:{etcd_port}/v3/kv/compaction", {"revision": "15"})
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def _post_json(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        answer.read()


def _end(_number: int, _frame: types.FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    """Run a control plane until Ctrl-C and write its kubeconfig to the file that was asked for."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="file to write the kubeconfig to")
    parser.add_argument("--pod-stages", choices=("fast", "general"), default="general", help="how pods start")
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        with ControlPlane(pod_stages=options.pod_stages, nodes=options.nodes) as plane:
            shutil.copy(plane.kubeconfig, options.kubeconfig)
            sys.stdout.write(f"{plane.server} is ready; logs are in {plane.folder}\n")
            sys.stdout.flush()
            while True:
                signal.pause()
    except (BuildError, StartError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        with contextlib.suppress(FileNotFoundError):
            options.kubeconfig.unlink()


if __name__ == "__main__":
    sys.exit(main())
