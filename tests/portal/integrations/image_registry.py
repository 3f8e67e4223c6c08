"""Debian's docker-registry on loopback, and images pushed into it through the distribution API."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from portal.embedded.ports import free_port

OCI = "application/vnd.oci.image."
MISSING = "docker-registry is missing; install the Debian package docker-registry."
START_SECONDS = 15


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class ImageRegistry:
    """A running registry."""

    url: str
    login: tuple[str, str] | None = None

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def push(
        self,
        repository: str,
        tag: str,
        *,
        created: str,
        commit: str = "",
        labels: dict[str, str] | None = None,
    ) -> str:
        """Push an image of one platform; returns its digest."""
        manifest = self.manifest(repository, created=created, commit=commit, labels=labels or {})
        return self.put(repository, tag, manifest, kind="manifest.v1+json")

    def push_index(
        self, repository: str, tag: str, *, created: str, platforms: tuple[str, ...]
    ) -> dict[str, str]:
        """Push an image of several platforms and an attestation; returns every digest by its name."""
        found, entries = {}, []
        for name in (*platforms, "unknown"):
            content = self.manifest(repository, created=created, labels={"platform": name})
            found[name] = self.put(repository, digest(content), content, kind="manifest.v1+json")
            found[f"{name} config"] = json.loads(content)["config"]["digest"]
            system = "unknown" if name == "unknown" else "linux"
            platform = {"architecture": name, "os": system}
            entries.append(
                {
                    "mediaType": f"{OCI}manifest.v1+json",
                    "digest": found[name],
                    "size": len(content),
                    "platform": platform,
                }
            )
        index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}
        found["index"] = self.put(repository, tag, json.dumps(index).encode(), kind="index.v1+json")
        return found

    def manifest(self, repository: str, *, created: str, commit: str = "", labels: dict[str, str]) -> bytes:
        """Push the blobs of an image and return its manifest."""
        if commit:
            labels = {**labels, "org.opencontainers.image.revision": commit}
        config = {"created": created, "architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{OCI}manifest.v1+json",
                "config": self.blob(repository, json.dumps(config).encode(), kind="config.v1+json"),
                "layers": [self.blob(repository, b"a layer", kind="layer.v1.tar")],
            }
        ).encode()

    def blob(self, repository: str, content: bytes, *, kind: str) -> dict[str, Any]:
        """Push one blob; returns how a manifest names it."""
        started = requests.post(f"{self.url}/v2/{repository}/blobs/uploads/", auth=self.login, timeout=5)
        started.raise_for_status()
        place = started.headers["Location"]
        place = place if place.startswith("http") else f"{self.url}{place}"
        done = requests.put(
            place, params={"digest": digest(content)}, data=content, auth=self.login, timeout=5
        )
        done.raise_for_status()
        return {"mediaType": f"{OCI}{kind}", "digest": digest(content), "size": len(content)}

    def put(self, repository: str, reference: str, content: bytes, *, kind: str) -> str:
        """Push a manifest or index under a tag or its digest."""
        url = f"{self.url}/v2/{repository}/manifests/{reference}"
        answer = requests.put(
            url, data=content, headers={"Content-Type": f"{OCI}{kind}"}, auth=self.login, timeout=5
        )
        answer.raise_for_status()
        return digest(content)


@contextmanager
def image_registry(
    folder: Path, *, htpasswd: str = "", login: tuple[str, str] | None = None
) -> Iterator[ImageRegistry]:
    """Run a registry until the end of the block."""
    program = shutil.which("docker-registry")
    assert program, MISSING
    port = free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "store")},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    process = subprocess.Popen(
        [program, "serve", str(folder / "config.yml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port, process)
        yield ImageRegistry(f"http://127.0.0.1:{port}", login)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "docker-registry ended at its start"
        try:
            requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("docker-registry did not answer")
