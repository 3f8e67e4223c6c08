"""What people type to operate a service that runs, read into the shape of the operation."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from releases.catalog.models import Service
from releases.operating import OperationKind
from releases.operations.operate import MOST_REPLICAS
from releases.rollouts.looking import WorkloadSeen

Json = dict[str, Any]
AMOUNTS = tuple((kind, name) for kind in ("requests", "limits") for name in ("cpu", "memory"))
# Where what an operation finds wrong is written.
PLACES = {"limits": "limits_memory"} | {f"{kind}.{name}": f"{kind}_{name}" for kind, name in AMOUNTS}
LABELS = {
    "requests_cpu": _("CPU asked for"),
    "requests_memory": _("Memory asked for"),
    "limits_cpu": _("CPU at most"),
    "limits_memory": _("Memory at most"),
}


class OperationForm(forms.Form):
    """The fields of one kind of operation, filled with what was seen to run."""

    def __init__(
        self, *args: Any, kind: str, service: Service, workloads: Sequence[WorkloadSeen], **kwargs: Any
    ) -> None:
        """Make the fields.

        Args:
            workloads: as seen now; empty where the cluster is away.
        """
        super().__init__(*args, **kwargs)
        self.kind = kind
        names = [str(each["name"]) for each in service.spec.get("workloads") or []]
        seen = workloads[0] if len(workloads) == 1 and workloads[0].there else None
        if kind != OperationKind.JOB and len(names) > 1:
            self.fields["workload"] = _choice(_("Workload"), names, all_too=kind == OperationKind.RESTART)
        if kind == OperationKind.SCALE:
            self._scale(seen)
        elif kind == OperationKind.RESOURCES:
            self._resources(service, seen)
        elif kind == OperationKind.JOB:
            jobs = [each["name"] for each in service.spec.get("jobs") or []]
            self.fields["job"] = _choice(_("Job"), jobs)

    def as_data(self) -> Json:
        """The typed values in the shape of the operation; call after is_valid()."""
        values = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        data: Json = {"kind": self.kind}
        for kind, name in AMOUNTS:
            if amount := values.pop(f"{kind}_{name}", None):
                data.setdefault(kind, {})[name] = amount
        return data | values

    def _scale(self, seen: WorkloadSeen | None) -> None:
        bounds = seen.bounds if seen else None
        start = bounds[0] if bounds else seen.wanted if seen else None
        self.fields["replicas"] = _count(_("At least") if bounds else _("Replicas"), start)
        if bounds or seen is None:
            self.fields["most"] = _count(_("At most"), bounds[1] if bounds else None, required=False)
            self.fields["most"].help_text = _("For the autoscaler that owns the replicas.")

    def _resources(self, service: Service, seen: WorkloadSeen | None) -> None:
        declared = [
            name for each in service.spec.get("workloads") or [] for name in each.get("containers") or []
        ]
        found = [each.name for each in seen.containers] if seen else declared
        self.fields["container"] = _choice(_("Container"), list(dict.fromkeys(found)))
        now = _present(seen) if len(found) == 1 else {}
        for kind, name in AMOUNTS:
            field = f"{kind}_{name}"
            example = "250m" if name == "cpu" else "512Mi"
            present = now[field] or "–" if now else example
            attributes = {"placeholder": present, "autocomplete": "off"}
            self.fields[field] = forms.CharField(
                label=LABELS[field],
                required=False,
                max_length=20,
                widget=forms.TextInput(attrs=attributes),
            )
        self.fields["limits_memory"].help_text = _("What is left empty stays as it is.")


def _present(seen: WorkloadSeen | None) -> Mapping[str, str]:
    if seen is None or not seen.containers:
        return {}
    container = seen.containers[0]
    amounts = {"requests": container.requests, "limits": container.limits}
    return {f"{kind}_{name}": amounts[kind].get(name, "") for kind, name in AMOUNTS}


def _choice(label: Any, names: Sequence[str], *, all_too: bool = False) -> forms.ChoiceField:
    choices: list[tuple[str, Any]] = [(name, name) for name in names]
    if all_too:
        choices.insert(0, ("", _("All of them")))
    return forms.ChoiceField(label=label, choices=choices, required=not all_too)


def _count(label: Any, start: int | None, *, required: bool = True) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, initial=start, min_value=0, max_value=MOST_REPLICAS, required=required
    )
