"""A workload that stands paused before it changes: new pods would not come (protocols.md, A3)."""

import re

from django.utils.translation import gettext_lazy as _

from portal.integrations.kubernetes.workloads import ROLLOUT, Workload
from portal.sentences import kept, sentence
from releases.rollouts.steps.kind import Json, Outcome, Work, failed

NUMBER = re.compile(r"[0-9]{1,18}")


def refused(seen: Workload) -> Outcome | None:
    """Refuse what somebody has paused; what the portal itself holds goes on with its next template."""
    if not seen.is_paused:
        return None
    return failed("workload_paused", args={"object": str(seen.reference), "command": lifting(seen)})


def refused_as_it_stands(work: Work, seen: Workload) -> Outcome | None:
    """Refuse besides what another rollout was stopped at: with its template it would go on to the end."""
    holder = str(work.rollout.pk if work.rollout else 0)
    if seen.held_by and seen.held_by != holder:
        named = kept(sentence(_("rollout {number}"), number=seen.held_by))
        # Whoever else may write to the workload could have put anything there.
        known = {"rollout": int(seen.held_by)} if NUMBER.fullmatch(seen.held_by) else {}
        return failed("workload_held", named, args={"object": str(seen.reference), **known})
    return refused(seen)


def lifted(seen: Workload) -> list[Json]:
    """What a write lets go besides, for people."""
    told = {"object": str(seen.reference), "field": "paused", "before": "true", "after": ""}
    return [told] if seen.goes_on_with_template else []


def lifting(seen: Workload) -> str:
    """Return what a person types to let it go on."""
    name, namespace = seen.reference.name, seen.reference.namespace
    if seen.reference.kind == ROLLOUT:
        return f"kubectl argo rollouts promote {name} -n {namespace}"
    return f"kubectl rollout resume {seen.reference} -n {namespace}"
