"""A whole portal as `make run` starts it, in a folder of its own, and its API as people use it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from portal.embedded.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"ready in ([0-9.]+) s")
READY_SECONDS = 180
ROLLOUT_SECONDS = 300
SYSTEM = "portal-universe"
ENVIRONMENT = "portal-universe-production"
WAVES = (
    ("config-service",),
    ("auth-service",),
    ("shopping-service", "blog-service"),
    ("notification-service",),
    ("api-gateway",),
    ("design-system",),
    ("portal-shell",),
    ("blog-frontend", "shopping-frontend"),
)
ENDS = {"succeeded", "failed", "paused", "stopped"}
MANAGER, QA = "jiho", "nayoung"
APPROVERS = ("taeyang", "hyejin", "sungmin", "narae", "junseo", "chaewon", QA, "jonghyun")


class Refused(Exception):
    """The API said no."""


@dataclass(frozen=True)
class Portal:
    """A running portal."""

    process: subprocess.Popen[str]
    ready_seconds: float
    report: dict[str, Any]

    @property
    def kubeconfig(self) -> str:
        """The file that kubectl reads."""
        return str(self.report["kubeconfig"])

    def call(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """Ask the API as a person of the demo.

        Raises:
            Refused: it answered with a problem.
        """
        token = next(each["token"] for each in self.report["people"] if each["username"] == who)
        answer = requests.request(
            method,
            f"{self.report['url']}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        if answer.status_code >= 400:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def approved_release(
        self,
        versions: dict[str, str],
        *,
        environment: str = ENVIRONMENT,
        plan: str | None = None,
        by: str = MANAGER,
        approvers: Sequence[str] = APPROVERS,
    ) -> int:
        """Compose a release, answer its checks, let everybody agree; return its number."""
        items = [{"service": name, "version": version} for name, version in versions.items()]
        body = {"title": "benchmark", "environment": environment, "items": items, "changes": [], "facts": {}}
        number = int(self.call(by, "POST", "/releases", {**body, "plan": plan})["number"])
        self.call(by, "POST", f"/releases/{number}/submit")
        self.answer(number, "before", by=by)
        for who in approvers:
            release = self.call(by, "GET", f"/releases/{number}")
            if release["state"] != "in_review":
                break
            self._approve(number, who, release["content_digest"])
        self._until_measured(number, by=by)
        return number

    def roll_out(self, number: int, *, by: str = MANAGER) -> dict[str, Any]:
        """Start a release, wait for its end, return the rollout."""
        return self.wait(self.start(number, by=by), ENDS, by=by)

    def start(self, number: int, *, by: str = MANAGER) -> int:
        """Start a release and return the number of its rollout."""
        begun = self.call(by, "POST", f"/releases/{number}/start")
        rollout = begun["rollouts"][-1] if "rollouts" in begun else begun
        return int(rollout["id"] if isinstance(rollout, dict) else rollout)

    def wait(self, rollout: int, states: set[str], *, by: str = MANAGER) -> dict[str, Any]:
        """Wait until the rollout is in one of the states, and return it."""
        deadline = time.monotonic() + ROLLOUT_SECONDS
        while time.monotonic() < deadline:
            found: dict[str, Any] = self.call(by, "GET", f"/rollouts/{rollout}")
            if found["state"] in states:
                return found
            time.sleep(0.5)
        raise TimeoutError(f"rollout {rollout} did not end")

    def events(self, rollout: int, *, by: str = MANAGER) -> list[dict[str, Any]]:
        """All events of a rollout, in order."""
        events: list[dict[str, Any]] = []
        while True:
            after = events[-1]["id"] if events else 0
            more = self.call(by, "GET", f"/rollouts/{rollout}/events?after={after}")["events"]
            if not more:
                return events
            events += more

    def answer(self, number: int, phase: str, *, by: str = MANAGER) -> None:
        """Answer what people are asked in a phase of the checklist."""
        for check in self.call(QA, "GET", f"/releases/{number}/checklist")["items"]:
            if check["phase"] == phase and check["kind"] == "person":
                self._answer(number, check["id"], (QA, by))

    def memory_mib(self) -> float:
        """The proportional set size of the whole process tree."""
        return sum(_pss_kib(pid) for pid in _tree(self.process.pid)) / 1024

    def _until_measured(self, number: int, *, by: str) -> None:
        """Wait for the checks before the start that the portal answers itself."""
        deadline = time.monotonic() + ROLLOUT_SECONDS
        while time.monotonic() < deadline:
            listed = self.call(by, "GET", f"/releases/{number}/checklist")["items"]
            if all(check["result"] for check in listed if check["phase"] == "before"):
                return
            time.sleep(0.1)
        raise TimeoutError(f"release {number} was not measured")

    def _answer(self, number: int, check: int, people: Sequence[str]) -> None:
        body = {"result": "done", "evidence": {"text": "ok"}}
        for who in people:
            try:
                self.call(who, "POST", f"/releases/{number}/checklist/{check}", body)
            except Refused:
                continue
            return

    def _approve(self, number: int, who: str, digest: str) -> None:
        body = {"verdict": "approve", "content_digest": digest, "reason": "", "for": None}
        try:
            self.call(who, "POST", f"/releases/{number}/decisions", body)
        except Refused:  # not everybody is asked for every release
            return


@contextmanager
def running_portal(**variables: str) -> Iterator[Portal]:
    """Start everything, give it, end it and forget its data.

    Args:
        variables: more of its environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="portal-bench-"))
    environment = {**os.environ, "PORTAL_DATA": str(folder), "PORT": str(free_port()), "LANGUAGE_CODE": "en"}
    # A benchmark that measured on a database of its own has left its settings here.
    for name in ("DATABASE_URL", "REDIS_URL", "KUBECONFIG", "SECRET_KEY", "ALLOWED_HOSTS", "DEMO"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=ROOT,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        seconds = _wait_until_ready(process)
        yield Portal(process, seconds, json.loads((folder / "demo.json").read_text()))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _wait_until_ready(process: subprocess.Popen[str]) -> float:
    assert process.stdout is not None
    said: list[str] = []
    limit = threading.Timer(READY_SECONDS, process.terminate)
    limit.start()
    for line in process.stdout:
        said.append(line)
        if found := READY.search(line):
            limit.cancel()
            threading.Thread(target=process.stdout.read, daemon=True).start()  # so that the pipe never fills
            return float(found[1])
    limit.cancel()
    raise RuntimeError("the portal did not start:\n" + "".join(said[-20:]))


def _tree(root: int) -> set[int]:
    """The process and all its descendants."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    tree, size = {root}, 0
    while len(tree) != size:
        size = len(tree)
        tree |= {pid for pid, parent in pairs if parent in tree}
    return tree


def _pss_kib(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return 0
    return int(found[1]) if found else 0
