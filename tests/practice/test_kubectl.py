"""What people do with kubectl."""

import json

from tests.cluster.objects import Space, deployment, failing
from tests.practice.conftest import Kubectl
from tests.soak import long

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.test/web:1"}]
"""


@long
def test_apply_makes_and_changes_objects(kubectl: Kubectl) -> None:
    assert "created" in kubectl("apply", "-f", "-", given=MANIFEST)
    assert "unchanged" in kubectl("apply", "-f", "-", given=MANIFEST)
    assert "configured" in kubectl("apply", "-f", "-", given=MANIFEST.replace("web:1", "web:2"))
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/web", "--timeout=20s")
    assert "web:2" in kubectl("get", "deploy", "web", "-o", "wide")


def test_apply_refuses_an_unknown_field(kubectl: Kubectl) -> None:
    wrong = MANIFEST.replace("replicas: 2", "replicsa: 2")
    assert 'unknown field "spec.replicsa"' in kubectl("apply", "-f", "-", given=wrong, code=1)


@long
def test_server_side_apply_tells_conflicts(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "-f", "-", given=MANIFEST)
    kubectl("set", "image", "deploy/web", "web=registry.test/web:2")
    told = kubectl("apply", "--server-side", "-f", "-", given=MANIFEST, code=1)
    assert 'conflict with "kubectl-set" using apps/v1' in told
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=MANIFEST)
    assert "web:1" in kubectl("get", "deploy", "web", "-o", "wide")


@long
def test_image_history_and_undo(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=MANIFEST)
    kubectl("rollout", "status", "deploy/web", "--timeout=20s")
    assert "image updated" in kubectl("set", "image", "deploy/web", "web=registry.test/web:2")
    kubectl("rollout", "status", "deploy/web", "--timeout=20s")
    history = kubectl("rollout", "history", "deploy/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "rolled back" in kubectl("rollout", "undo", "deploy/web")
    kubectl("rollout", "status", "deploy/web", "--timeout=20s")
    assert "web:1" in kubectl("get", "deploy", "web", "-o", "wide")


@long
def test_scale_pause_resume_and_restart(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=MANIFEST)
    kubectl("scale", "deploy/web", "--replicas=3", "--current-replicas=2")
    kubectl("rollout", "pause", "deploy/web")
    assert "can't restart paused" in kubectl("rollout", "restart", "deploy/web", code=1)
    kubectl("rollout", "resume", "deploy/web")
    kubectl("rollout", "restart", "deploy/web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/web", "--timeout=20s")


@long
def test_get_prints_columns_and_describe_events(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=MANIFEST)
    kubectl("rollout", "status", "deploy/web", "--timeout=20s")
    header = kubectl("get", "pods").splitlines()[0].split()
    assert header == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert "Scaled up replica set" in kubectl("describe", "deploy", "web")
    assert "Started container web" in kubectl("describe", "pods")


def test_logs_of_now_and_of_the_crash_before(kubectl: Kubectl, space: Space) -> None:
    marks = failing("CrashLoopBackOff", after="100ms", backoff="20s", message="no database")
    space.create(deployment("web", pod_annotations=marks))
    space.wait("deployments", "web", lambda _: _restarts(kubectl) >= 1)
    assert "no database" in kubectl("logs", "deploy/web", "--previous", "--tail=2")
    assert "starting registry.test/web:1" in kubectl("logs", "deploy/web")


def test_may_i_is_answered_even_in_protobuf(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "patch", "deployments").strip() == "yes"
    kubectl("create", "serviceaccount", "robot")
    robot = f"{kubectl.namespace}:robot"
    account = f"system:serviceaccount:{robot}"
    assert kubectl("auth", "can-i", "list", "pods", f"--as={account}", code=1).strip() == "no"
    kubectl("create", "rolebinding", "robot", "--clusterrole=view", f"--serviceaccount={robot}")
    assert kubectl("auth", "can-i", "list", "pods", f"--as={account}").strip() == "yes"
    assert kubectl("create", "token", "robot").count(".") == 2


def _restarts(kubectl: Kubectl) -> int:
    pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    return sum(each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses", []))
