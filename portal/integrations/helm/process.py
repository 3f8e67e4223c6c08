"""Runs the helm program: no shell, a home and a kubeconfig of its own that go with the call, bounded in all.

What a worker's account has set up for people (plugins, repositories, other clusters) has no part in it.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.connection import Access
from portal.sentences import sentence

MISSING_BINARY = "helm_missing"
TIMED_OUT = "helm_timeout"
# A release as JSON holds its chart and its manifest; more than this is none that the portal can show.
MOST_BYTES = 16_000_000
BEAT_SECONDS = 1.0
# Of the worker's own environment: authorities for servers whose kubeconfig names none.
HANDED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "LANG")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a call printed and how it ended; stdout is for programs, stderr for people."""

    code: int
    out: str
    err: str


def no_beat() -> None:
    """Nothing is to be done while helm runs."""


def located(binary: str) -> str:
    """Return the path of the program.

    Raises:
        PermanentError: with code "helm_missing" when there is none.
    """
    found = shutil.which(binary)
    if found is None:
        text = _(
            "There is no program {binary}. Put Helm 3.13 or newer where the workers run, or name it in "
            "HELM_BINARY."
        )
        raise PermanentError(sentence(text, binary=binary), code=MISSING_BINARY)
    return found


def run(
    binary: str,
    arguments: Sequence[str],
    *,
    access: Access | None = None,
    files: Mapping[str, bytes] | None = None,
    seconds: float,
    beat: Callable[[], None] = no_beat,
) -> Finished:
    """Run helm once, in a folder of its own that holds `files` and is removed afterwards.

    Args:
        access: the cluster it may reach; none for what needs no cluster.
        files: relative paths and contents; helm is started in the folder that holds them.
        beat: called about once a second; what it raises ends helm.

    Raises:
        PermanentError: with code "helm_missing".
        TemporaryError: with code "helm_timeout" when it took longer than `seconds`; it was ended.
    """
    program = located(binary)
    with tempfile.TemporaryDirectory(prefix="portal-helm-") as name:
        folder = Path(name)
        _fill(folder / "work", files or {})
        environment = _environment(folder, access)
        return _finish(program, arguments, folder / "work", environment, seconds=seconds, beat=beat)


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, content)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only this account may read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _environment(folder: Path, access: Access | None) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(mode=0o700)
    kubeconfig = folder / "kubeconfig"
    write_private(kubeconfig, json.dumps(kubeconfig_of(access)).encode() if access else b"{}")
    places = {name: str(home / name.lower()) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME")}
    places |= {name: str(home / name.lower()) for name in ("HELM_DATA_HOME", "HELM_PLUGINS")}
    kept = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    return {
        **kept,
        **places,
        "HOME": str(home),
        "PATH": os.defpath,
        "KUBECONFIG": str(kubeconfig),
        "HELM_NO_PLUGINS": "1",
        "HELM_DRIVER": "secret",
    }


def kubeconfig_of(access: Access) -> dict[str, Any]:
    """Return a kubeconfig that holds an address, certificates and a token, and nothing that could be run."""
    token = Path(access.token_file).read_text(encoding="utf-8").strip() if access.token_file else access.token
    cluster = {
        "server": access.server,
        "certificate-authority-data": _encoded(access.authority),
        "tls-server-name": access.server_name,
        "insecure-skip-tls-verify": not access.verify,
    }
    user = {
        "token": token,
        "client-certificate-data": _encoded(access.certificate),
        "client-key-data": _encoded(access.key),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "portal",
        "contexts": [{"name": "portal", "context": {"cluster": "portal", "user": "portal"}}],
        "clusters": [{"name": "portal", "cluster": {key: each for key, each in cluster.items() if each}}],
        "users": [{"name": "portal", "user": {key: each for key, each in user.items() if each}}],
    }


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _finish(
    program: str,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    seconds: float,
    beat: Callable[[], None],
) -> Finished:
    ends_at = time.monotonic() + seconds
    with _started([program, *arguments], folder, environment) as process:
        printed = _Printed(process)
        while printed.goes_on():
            if time.monotonic() > ends_at:
                text = _("helm {call} took longer than {seconds} s and was ended.")
                raise TemporaryError(
                    sentence(text, call=arguments[0], seconds=round(seconds)), retry_in=5.0, code=TIMED_OUT
                )
            beat()
        return Finished(code=process.wait(), out=printed.text("out"), err=printed.text("err"))


@contextmanager
def _started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block, with whatever it has started itself."""
    with subprocess.Popen(  # noqa: S603  a list of arguments, never a shell
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


class _Printed:
    """Both streams of a process, read as they come, so that neither fills up and none grows without end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._chunks: dict[str, list[bytes]] = {"out": [], "err": []}
        self._bytes = 0
        self._selector = selectors.DefaultSelector()
        self._open(process.stdout, "out")
        self._open(process.stderr, "err")

    def _open(self, stream: IO[bytes] | None, name: str) -> None:
        assert stream is not None
        self._selector.register(stream, selectors.EVENT_READ, name)

    def goes_on(self) -> bool:
        """Read what is there, for a second at most; False once both streams have ended."""
        for key, _events in self._selector.select(BEAT_SECONDS):
            chunk = os.read(key.fd, 65536)
            self._chunks[key.data].append(chunk)
            self._bytes += len(chunk)
            if not chunk:
                self._selector.unregister(key.fileobj)
        if self._bytes > MOST_BYTES:
            raise PermanentError(_("helm printed more than can be read."), code="helm_failed")
        return bool(self._selector.get_map())

    def text(self, name: str) -> str:
        """Return all that was printed on a stream."""
        return b"".join(self._chunks[name]).decode(errors="replace")
