"""A chart of one Deployment for tests, and the helm program that renders it."""

import sys
from pathlib import Path
from typing import Any

import yaml

from tests import helm_standin
from tests.cluster.objects import deployment

Json = dict[str, Any]
OWNED_BY = {"app.kubernetes.io/managed-by": "Helm"}
IMAGE = "{{ .Values.image.repository }}@{{ .Values.image.digest }}"
# Of the catalog: the service `api` is this chart's.
HELM: Json = {
    "chart": "api",
    "release": "api",
    "image": {"repository": "image.repository", "digest": "image.digest"},
    "values": {"floor-production": {"replicas": 2}},
}


def write_chart(folder: Path, **changes: Any) -> Path:
    """Write the chart `api` below a folder, whatever stands there now.

    Args:
        changes: `template_annotations` of the pods, `more` objects of the chart, `containers` beside its own.
    """
    chart = folder / "api"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: api\nversion: 1.0.0\n")
    body = deployment("api", image=IMAGE, replicas=4242)
    body["metadata"]["labels"] = OWNED_BY
    pod = body["spec"]["template"]
    pod["metadata"]["annotations"] = changes.get("template_annotations") or {}
    pod["spec"]["containers"] += changes.get("containers") or []
    text = yaml.safe_dump(body).replace("replicas: 4242", "replicas: {{ .Values.replicas }}")
    (chart / "templates" / "deployment.yaml").write_text(text)
    for at, each in enumerate(changes.get("more") or []):
        (chart / "templates" / f"more-{at}.yaml").write_text(yaml.safe_dump(each))
    return chart


def owned_deployment(namespace: str, *, image: str) -> Json:
    """A Deployment named `api` as Helm left it."""
    owner = {"meta.helm.sh/release-name": "api", "meta.helm.sh/release-namespace": namespace}
    body = deployment("api", image=image, annotations=owner)
    body["metadata"]["labels"] = OWNED_BY
    return body


def standin(folder: Path, *, on_server: bool = False) -> Path:
    """Put the stand-in for helm into a folder of the test's own, in which it keeps its state.

    Args:
        on_server: whether it lets the server apply, as Helm 4 does.
    """
    folder.mkdir(exist_ok=True)
    if on_server:
        (folder / helm_standin.ON_SERVER.name).touch()
    program = folder / "helm"
    source = Path(helm_standin.__file__).read_text(encoding="utf-8")
    program.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    program.chmod(0o755)
    return program
