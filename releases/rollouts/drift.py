"""Foreign changes: what differs from what was recorded or written, and who wrote it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.crypto import salted_hmac

from portal.integrations.kubernetes.workloads import (
    FIELD_MANAGER,
    RESTARTED_AT,
    Workload,
    changed_fields,
    last_manager,
)
from portal.masking import masked_change


@dataclass(frozen=True)
class Drift:
    """One field that somebody else changed."""

    what: str
    field: str
    manager: str
    before: object
    after: object

    @property
    def args(self) -> dict[str, Any]:
        """For the pause and the page; `mark` tells apart what looks the same without its secrets."""
        before, after = masked_change(self.field, self.before, self.after)
        is_hidden = (before, after) != (self.before, self.after)
        return {
            "object": self.what,
            "field": self.field,
            "manager": self.manager,
            "before": _short(before),
            "after": _short(after),
            **({"mark": salted_hmac("drift", str(self.after)).hexdigest()[:16]} if is_hidden else {}),
        }


def find_drift(
    workload: Workload,
    expected_spec: Mapping[str, Any],
    *,
    uid: str,
    scaled_by_others: bool,
    accepted: Sequence[Mapping[str, Any]] = (),
    of: tuple[str, ...] = ("",),
) -> Drift | None:
    """Return the first field of the spec that is not as expected; None when all is.

    That the portal holds it is its own doing, that nobody holds it any more is what it needs, and a restart
    by the portal changes nothing of what runs.

    Args:
        expected_spec: the spec as recorded, or as the cluster answered our own write.
        scaled_by_others: an autoscaler owns the replica count, so that its change is no drift.
        accepted: earlier drifts that a person has let pass.
        of: with what the fields begin that are asked about, such as "spec.template".
    """
    found = []
    if uid and workload.uid != uid:
        found.append(Drift(str(workload.reference), "metadata.uid", "", uid, workload.uid))
    should, present = dict(expected_spec), workload.spec
    if last_manager(workload, f"template.metadata.annotations.{RESTARTED_AT}") == FIELD_MANAGER:
        should, present = _unrestarted(should), _unrestarted(present)
    for field, before, after in changed_fields(should, present):
        if (field == "replicas" and scaled_by_others) or (field == "paused" and not workload.is_paused):
            continue
        manager = last_manager(workload, field)
        found.append(Drift(str(workload.reference), f"spec.{field}", manager, before, after))
    asked = (each for each in found if each.field.startswith(of))
    return next((each for each in asked if each.args not in accepted), None)


def _unrestarted(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without the time of the last restart."""
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    kept = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != RESTARTED_AT}
    cleared = {**metadata, "annotations": kept or None}
    return {**spec, "template": {**template, "metadata": cleared}}


def deleted(name: str) -> Drift:
    """Return the drift of an object that is gone."""
    return Drift(name, "metadata", "", "present", "deleted")


def _short(value: object) -> str:
    return "" if value is None else str(value)[:200]
