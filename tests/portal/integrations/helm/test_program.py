"""The helm program: found, asked with nobody else's settings, ended in time, and understood.

The program is the stand-in of these tests, or a script that misbehaves.
"""

import json
import stat
import sys
import time
from pathlib import Path

import pytest

from portal.errors import PermanentError, TemporaryError
from portal.integrations.helm import process
from portal.integrations.helm.charts import read_chart
from portal.integrations.helm.client import Charted, Helm, program_version
from portal.integrations.helm.process import kubeconfig_of, run
from portal.integrations.kubernetes.connection import Access, read_kubeconfig
from tests.charts import standin, write_chart
from tests.soak import long

ACCESS = Access(server="https://127.0.0.1:1", authority="-----CERT", token="canary-token")


def script(folder: Path, body: str) -> str:
    path = folder / "helm"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time, json\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_missing_program_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PermanentError) as found:
        run(str(tmp_path / "none"), ["version"], seconds=5)
    assert found.value.code == "helm_missing"
    assert "HELM_BINARY" in str(found.value.detail)


@pytest.mark.parametrize(
    ("told", "version"), [("v3.22.0", (3, 22, 0)), ("v3.13.1+g1", (3, 13, 1)), ("v4.0.2", (4, 0, 2))]
)
def test_versions_from_3_13_on_are_understood(tmp_path: Path, told: str, version: tuple[int, ...]) -> None:
    assert program_version(script(tmp_path, f"print({told!r})")) == version


@pytest.mark.parametrize("told", ["v3.12.9", "v2.17.0", "hello", ""])
def test_an_older_or_another_program_is_refused(tmp_path: Path, told: str) -> None:
    with pytest.raises(PermanentError) as found:
        program_version(script(tmp_path, f"print({told!r})"))
    assert found.value.code == "helm_too_old"


SHOW = """
config = os.environ["KUBECONFIG"]
print(json.dumps({"env": dict(os.environ), "mode": os.stat(config).st_mode, "here": os.listdir("."),
                  "config": json.load(open(config)), "arguments": sys.argv[1:], "folder": os.getcwd()}))
"""


def test_it_sees_its_own_kubeconfig_and_nothing_of_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELM_PLUGINS", "/somebody/elses")
    monkeypatch.setenv("DATABASE_URL", "postgresql://canary")
    files = {"values.json": b"{}", "chart/Chart.yaml": b""}
    finished = run(script(tmp_path, SHOW), ["x; rm -rf /"], access=ACCESS, files=files, seconds=10)
    seen = json.loads(finished.out)
    assert seen["arguments"] == ["x; rm -rf /"]
    assert sorted(seen["here"]) == ["chart", "values.json"]
    assert stat.S_IMODE(seen["mode"]) == 0o600
    assert seen["config"]["users"][0]["user"] == {"token": "canary-token"}
    assert "DATABASE_URL" not in seen["env"]
    assert "/somebody/elses" not in seen["env"].values()
    assert not Path(seen["folder"]).exists()
    assert not Path(seen["env"]["KUBECONFIG"]).exists()


def test_what_is_written_for_helm_is_what_the_portal_itself_accepts() -> None:
    access = Access(server="https://h:6443", authority="CA", certificate="C", key="K", server_name="n")
    assert read_kubeconfig(json.dumps(kubeconfig_of(access))) == access


def test_it_is_ended_with_its_children_when_its_time_is_over(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = f"open({str(pids)!r}, 'w').write(str(os.fork() or os.getpid())); time.sleep(60)"
    with pytest.raises(TemporaryError) as found:
        run(script(tmp_path, child), ["upgrade"], seconds=1)
    assert found.value.code == "helm_timeout"
    _gone(int(pids.read_text()))


def _gone(pid: int) -> None:
    """Wait until a process has ended, or only waits to be collected."""
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
    raise AssertionError(pid)


def test_who_lost_the_right_to_write_ends_it(tmp_path: Path) -> None:
    def lost() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(script(tmp_path, "time.sleep(60)"), ["upgrade"], seconds=50, beat=lost)


def test_endless_output_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_BYTES", 100_000)
    with pytest.raises(PermanentError):
        run(script(tmp_path, "while True: print('x' * 1000)"), ["template"], seconds=50)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress", "helm_busy"),
        ('unable to build: resource mapping not found for name "w"', "helm_unknown_kind"),
        ('secrets is forbidden: User "p" cannot list resource "secrets"', "forbidden"),
        (
            "execution error at (api/templates/deployment.yaml:9:20): image is required",
            "helm_does_not_render",
        ),
        ("Unable to continue with install: invalid ownership metadata", "helm_not_owned"),
        ("UPGRADE FAILED: cannot patch: field is immutable", "helm_failed"),
        ("Kubernetes cluster unreachable: dial tcp 127.0.0.1:1: connect: connection refused", "unreachable"),
    ],
)
def test_what_helm_says_has_a_code_and_stays_in_its_own_words(tmp_path: Path, said: str, code: str) -> None:
    lines = f"WARNING: kubeconfig\nError: {said}\n"
    helm = Helm(binary=script(tmp_path, f"sys.exit({lines!r})"), access=ACCESS, namespace="shop")
    with pytest.raises((PermanentError, TemporaryError)) as found:
        helm.history("api")
    assert (found.value.code, str(found.value.detail)) == (code, said)


def test_what_helm_repeats_of_a_secret_is_masked(tmp_path: Path) -> None:
    said = "UPGRADE FAILED: cannot patch: Invalid value: password=Zq9hunter2 \\0"
    helm = Helm(binary=script(tmp_path, f"sys.exit('Error: {said}')"), access=ACCESS, namespace="shop")
    with pytest.raises(PermanentError) as found:
        helm.history("api")
    assert str(found.value.detail) == "UPGRADE FAILED: cannot patch: Invalid value: password=••• \ufffd"


@long
def test_a_chart_without_a_value_it_needs_does_not_render(tmp_path: Path) -> None:
    write_chart(tmp_path / "charts")
    charted = Charted(release="api", chart=read_chart(str(tmp_path / "charts"), "api"), values={})
    helm = Helm(binary=str(standin(tmp_path / "bin")), access=ACCESS, namespace="shop")
    with pytest.raises(PermanentError) as found:
        helm.template(charted)
    assert found.value.code == "helm_does_not_render"
    assert helm.history("api") == []
