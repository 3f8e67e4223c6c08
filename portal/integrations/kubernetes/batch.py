"""A Job made from a CronJob's template, and how a Job ended. Pure."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.workloads import Json, containers

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
) -> Json:
    """Return a Job as `kubectl create job --from=cronjob/…` makes it, with other images and a deadline.

    It has neither owner nor metadata of the CronJob: its controller would count and delete it, and Argo CD
    would prune what carries its tracking. A Job whose pod cannot start stays active for ever without a
    deadline (protocols.md, A4).

    Args:
        images: by container; init containers count.
        seconds: the longest it may run.

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
        text = _("{workload} has no container {names}.").format(
            workload=f"cronjob/{cron_job['metadata']['name']}", names=", ".join(missing)
        )
        raise PermanentError(text, code="no_such_container")
    for container, image in images.items():
        found[container]["image"] = image
    metadata = {"name": name, "annotations": dict(annotations)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def template_images(cron_job: Json) -> dict[str, str]:
    """Return the images of a CronJob's template by container."""
    template = cron_job["spec"]["jobTemplate"]["spec"]["template"]
    return {each["name"]: str(each.get("image", "")) for each in containers(template)}


def end_of(job: Json) -> Json:
    """Return the condition that says how a Job ended; empty while it has not."""
    status = job.get("status") or {}
    ends = (condition(status, kind) for kind in (COMPLETE, FAILED))
    return next((each for each in ends if each.get("status") == "True"), {})
