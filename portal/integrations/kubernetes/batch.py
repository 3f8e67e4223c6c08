"""A Job made from a CronJob's template, and how a Job ended. Pure."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.answers import read_json
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import Json, containers
from portal.sentences import sentence

# A finished Job stays for a week: what it did can be looked up, and nobody makes it again meanwhile.
KEPT_SECONDS = 7 * 24 * 3600
COMPLETE = "Complete"
FAILED = "Failed"
# What belongs to another Job, or would keep this one from starting.
LEFT_OUT = ("selector", "manualSelector", "suspend")


def job_from(
    cron_job: Json,
    *,
    name: str,
    annotations: Mapping[str, str],
    images: Mapping[str, str],
    seconds: int,
    variables: Mapping[str, str] | None = None,
) -> Json:
    """Return a Job as `kubectl create job --from=cronjob/…` makes it, with other images and a deadline.

    It has neither owner nor metadata of the CronJob: its controller would count and delete it, and Argo CD
    would prune what carries its tracking. A Job whose pod cannot start stays active for ever without a
    deadline (protocols.md, A4).

    Args:
        images: by container; init containers count.
        seconds: the longest it may run.
        variables: what every container is told in its environment, over what the template says there.

    Raises:
        PermanentError: the template has no such container.
    """
    spec: dict[str, Any] = deepcopy(cron_job["spec"]["jobTemplate"]["spec"])
    for field in LEFT_OUT:
        spec.pop(field, None)
    spec["activeDeadlineSeconds"] = min(int(spec.get("activeDeadlineSeconds") or seconds), seconds)
    spec["ttlSecondsAfterFinished"] = KEPT_SECONDS
    found = {each["name"]: each for each in containers(spec["template"])}
    missing = sorted(set(images) - set(found))
    if missing:
        text = sentence(
            _("{workload} has no container {names}."),
            workload=f"cronjob/{cron_job['metadata']['name']}",
            names=", ".join(missing),
        )
        raise PermanentError(text, code="no_such_container")
    for container, image in images.items():
        found[container]["image"] = image
    for each in found.values():
        _tell(each, variables or {})
    metadata = {"name": name, "annotations": dict(annotations)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _tell(container: Json, variables: Mapping[str, str]) -> None:
    if variables:
        kept = [each for each in container.get("env") or [] if each.get("name") not in variables]
        container["env"] = [*kept, *({"name": name, "value": text} for name, text in variables.items())]


def report_of(pods: Iterable[Json]) -> Json:
    """Return what a Job that succeeded says of its work: the JSON object in a container's last message.

    Kubernetes keeps up to 4,096 characters of what a container writes to its `terminationMessagePath`. Empty
    where none says anything that can be read.
    """
    ends = [
        (str(ended.get("finishedAt") or ""), str(ended["message"]))
        for pod in pods
        for status in (pod.get("status") or {}).get("containerStatuses") or []
        if (ended := (status.get("state") or {}).get("terminated") or {}).get("message")
        and ended.get("exitCode") == 0
    ]
    return next((said for _at, text in sorted(ends, reverse=True) if (said := _object(text))), {})


def _object(text: str) -> Json:
    try:
        said = read_json(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def template_images(cron_job: Json) -> dict[str, str]:
    """Return the images of a CronJob's template by container."""
    template = cron_job["spec"]["jobTemplate"]["spec"]["template"]
    return {each["name"]: str(each.get("image", "")) for each in containers(template)}


def end_of(job: Json) -> Json:
    """Return the condition that says how a Job ended; empty while it has not."""
    status = job.get("status") or {}
    ends = (condition(status, kind) for kind in (COMPLETE, FAILED))
    return next((each for each in ends if each.get("status") == "True"), {})
