"""The commands at the line: load asks, check counts, export writes, discover reads a cluster."""

import io
import json
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from releases.catalog.models import Service
from tests.catalog.cluster_objects import container, service, workload
from tests.catalog.conftest import SMALL, Folder
from tests.portal.integrations.answering import Asked, Given, answering

pytestmark = pytest.mark.django_db


def run(
    *arguments: str | Path, typed: str | None = None, monkeypatch: pytest.MonkeyPatch | None = None
) -> str:
    out = io.StringIO()
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed or ""))
    call_command("catalog", *map(str, arguments), stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.parametrize(("typed", "loaded"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_a_load_shows_its_difference_and_asks(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, typed: str, loaded: bool
) -> None:
    shown = run("load", folder(), typed=typed, monkeypatch=monkeypatch)
    assert "+ Service web" in shown
    assert "6 added, 0 changed, 0 removed, 0 unchanged" in shown
    assert Service.objects.exists() is loaded
    assert ("Nothing was changed" in shown) is not loaded


def test_a_load_with_yes_does_not_ask(folder: Folder) -> None:
    run("load", folder(), "--yes")
    assert "~ Service web\n    spec.core: – → true" in run(
        "load", folder(SMALL.replace("  dependencies", "  core: true\n  dependencies")), "--yes"
    )


def test_nothing_to_do_is_not_asked_about(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    run("load", folder(), "--yes")
    shown = run("load", folder(), typed="y\n", monkeypatch=monkeypatch)
    assert shown == "0 added, 0 changed, 0 removed, 6 unchanged\n"


def test_an_export_writes_the_files_and_overwrites_nothing_else(folder: Folder, tmp_path: Path) -> None:
    run("load", folder(), "--yes")
    target = tmp_path / "out"
    assert run("export", target) == f"{target / 'catalog.yaml'}\n"
    run("export", target)
    (target / "catalog.yaml").write_text("something else")
    with pytest.raises(CommandError, match="differs"):
        run("export", target)


def test_check_names_each_problem_and_fails(folder: Folder) -> None:
    assert "in order" in run("check", folder())
    assert not Service.objects.exists()
    with pytest.raises(CommandError, match="1 problem"):
        run("check", folder(SMALL.replace("stage: production", "stage: prod")))


def test_a_refused_load_is_a_sentence(folder: Folder) -> None:
    with pytest.raises(CommandError, match=r"catalog\.yaml:15: spec\.stage: expected one of"):
        run("load", folder(SMALL.replace("stage: production", "stage: prod")), "--yes")


def kubeconfig(folder: Path, server: str, **user: object) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                "clusters": [{"name": "here", "cluster": {"server": server}}],
                "users": [{"name": "me", "user": user or {"token": "secret-token"}}],
            }
        )
    )
    return path


OBJECTS = {
    "deployments": [workload("web", container("web", "registry.practice/shop/web:1"))],
    "services": [service("web", {"app": "web"})],
    "cronjobs": [{"metadata": {"name": "nightly"}}],
}


def api_server(asked: Asked) -> Given:
    path = asked.path.partition("?")[0]
    plural = path.rpartition("/")[2]
    if path.startswith("/api/v1/namespaces/gone"):
        return Given(404, json.dumps({"kind": "Status", "message": 'namespaces "gone" not found'}).encode())
    if plural == "horizontalpodautoscalers":
        return Given(403, json.dumps({"kind": "Status", "message": "forbidden"}).encode())
    body = {"kind": "List", "metadata": {}, "items": OBJECTS.get(plural, [])}
    return Given(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_discover_proposes_a_file_that_can_be_loaded(tmp_path: Path, folder: Folder) -> None:
    run("load", folder(), "--yes")
    with answering(api_server) as server:
        config = kubeconfig(tmp_path, server.url)
        text = run("discover", "--namespace", "shop", "--kubeconfig", config, "--team", "commerce")
    assert "# Beside the services: CronJob nightly\n" in text
    assert "# Warning: HorizontalPodAutoscaler objects may not be read.\n" in text
    (document,) = [each for each in yaml.safe_load_all(text) if each]
    assert document["spec"]["environments"] == ["shop-production"]
    assert document["spec"]["system"] == "shop"
    found = tmp_path / "found.yaml"
    found.write_text(text)
    assert "in order" in run("check", found)


def test_discover_names_a_namespace_that_is_not_there(tmp_path: Path) -> None:
    with answering(api_server) as server, pytest.raises(CommandError, match="gone"):
        run("discover", "--namespace", "gone", "--kubeconfig", kubeconfig(tmp_path, server.url))


def test_discover_names_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(CommandError, match="does not answer"):
        run("discover", "--namespace", "shop", "--kubeconfig", config)


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/touch"}},
        {"auth-provider": {"name": "gcp"}},
        {"tokenFile": "/etc/shadow"},
        {"client-key": "/etc/shadow"},
    ],
)
def test_a_kubeconfig_that_runs_or_reads_something_is_refused(
    tmp_path: Path, user: dict[str, object]
) -> None:
    def never(_asked: Asked) -> Given:
        raise AssertionError

    with answering(never) as server, pytest.raises(CommandError) as refusal:
        run("discover", "--namespace", "shop", "--kubeconfig", kubeconfig(tmp_path, server.url, **user))
    assert next(iter(user)) in str(refusal.value)
    assert server.asked == []


@pytest.mark.parametrize("verb", ["check", "load"])
def test_a_connection_with_such_a_kubeconfig_is_refused_where_it_is_described(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    config = kubeconfig(tmp_path, "https://10.0.0.1", exec={"command": "/bin/touch"})
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(CommandError):
        run(verb, folder(), *(["--yes"] if verb == "load" else []))
    assert not Service.objects.exists()
