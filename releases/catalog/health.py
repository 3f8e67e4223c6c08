"""How a service is asked for its health, and what it means where the catalog does not say."""

from collections.abc import Mapping
from typing import Any

ACTUATOR, NONE = "actuator", "none"


def is_of_every_pod(health: Mapping[str, Any]) -> bool:
    """Whether each pod is asked: Spring's actuator speaks for the pod that answers, not for the service."""
    kind = health.get("kind", NONE)
    return bool(health.get("everyPod", kind == ACTUATOR)) and kind != NONE
