"""What a container asks for and may use, and the way back."""

from portal.errors import PermanentError
from portal.integrations.kubernetes.workloads import Workload, containers
from releases.rollouts.steps.kind import Json, Outcome, Work, done
from releases.rollouts.steps.restore_image import RestoreImage
from releases.rollouts.steps.template import TemplateKind

KINDS = ("requests", "limits")


class SetResources(TemplateKind):
    """Sets requests and limits of one container; what is not named stays as it is."""

    name = "set_resources"
    said = "resources_set"

    def template(self, work: Work, seen: Workload) -> Json:
        """The container with its amounts, where it stands.

        Raises:
            PermanentError: there is no such container; a strategic patch would add it.
        """
        name = work.step.params["container"]
        resources = {kind: work.step.params[kind] for kind in KINDS if work.step.params.get(kind)}
        for field in ("initContainers", "containers"):
            if any(each["name"] == name for each in seen.template["spec"].get(field) or []):
                return {"spec": {field: [{"name": name, "resources": resources}]}}
        raise PermanentError(name, code="no_such_container")

    def changes(self, work: Work, seen: Workload) -> list[Json]:
        """Each amount that is named, with what it was."""
        name = work.step.params["container"]
        wanted = {kind: work.step.params.get(kind) or {} for kind in KINDS}
        return _differing(str(seen.reference), name, _resources(seen.template, name), wanted)

    def observe(self, work: Work) -> Outcome:  # noqa: ARG002  the server's answer said it
        """The new pods are waited for by the step after it."""
        return done(self.said)


class RestoreResources(RestoreImage):
    """Undoes a set_resources step: the recorded template as a whole, as nothing else of it was changed."""

    name = "restore_resources"
    undoes = "set_resources"
    said = "resources_restored"

    def changes(self, seen: Workload, before: Json) -> list[Json]:
        """Each amount that goes back."""
        template = before["spec"]["template"]
        return [
            change
            for each in containers(template)
            for change in _differing(
                str(seen.reference),
                each["name"],
                _resources(seen.template, each["name"]),
                _resources(template, each["name"]),
            )
            if change["before"] != change["after"]
        ]


def _resources(template: Json, name: str) -> Json:
    found = next((each for each in containers(template) if each["name"] == name), {})
    return {kind: (found.get("resources") or {}).get(kind) or {} for kind in KINDS}


def _differing(workload: str, container: str, now: Json, then: Json) -> list[Json]:
    return [
        {
            "object": workload,
            "field": f"{kind}.{name}[{container}]",
            "before": str(now[kind].get(name, "")),
            "after": str(amount),
        }
        for kind in KINDS
        for name, amount in then[kind].items()
    ]
