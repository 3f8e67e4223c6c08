"""A horizontal autoscaler as the contract tests make it."""

from tests.cluster.api import Json


def autoscaler(name: str, *, minimum: int, maximum: int) -> Json:
    """Return an autoscaler of the Deployment of the same name, by CPU, for which no metrics exist."""
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": maximum, "metrics": [metric]}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": spec,
    }
