"""What a troubled pod leaves behind, in the form that a failed step keeps."""

from collections.abc import Mapping
from datetime import datetime

from portal import clock
from portal.integrations.kubernetes import diagnosis
from portal.integrations.kubernetes.rollout_status import condition
from portal.integrations.kubernetes.trouble import Sights, Trouble, find_trouble
from portal.integrations.kubernetes.workloads import container_statuses
from portal.masking import masked
from releases.rollouts.steps.kind import Json, Outcome, Verdict, Work, failed

# A watch tells at once of what changes, and is made sure of (`assuring`); what only time shows is looked for
# when it is due. Whatever nobody thought of waits so long.
POLL_SECONDS = 30.0
SOONEST_SECONDS = 0.2
# What a change brings is hardly made so soon after it: nobody is asked yet what is wrong with it, and a step
# that is done in the meantime goes on sooner. It is asked then at the latest.
EARLY_SECONDS, EARLY_UNTIL_SECONDS = 0.5, 1.0
# Kept from look to look, by those that read pods.
OF_PODS = ("sights", "baseline", "ready_since", "flaps", "trouble")
# A look takes a moment: its outcome may be past the step's time where its beginning was not.
LAST_SECONDS = 1.0


def poll_seconds(work: Work, trouble: Trouble | None = None) -> float:
    """When to look again where no watch tells of it: after half a minute, or when something is due.

    Args:
        trouble: what is wrong now; it may become final with time alone, as the step does by its deadline.
    """
    now, step = clock.now(), work.step
    left = (step.deadline_at - now).total_seconds() if step.deadline_at else 0.0
    final_in = (trouble.after_seconds if trouble else None) or 0.0
    due = [each for each in (left, final_in) if each > 0]
    return max(min([POLL_SECONDS, *due]), SOONEST_SECONDS)


def early(work: Work, observed: Json) -> Outcome | None:
    """Return a short wait right after the change that is waited for; None once pods are to be asked.

    Args:
        observed: what is seen without them.
    """
    step = work.step
    since = step.acted_at or step.started_at
    age = (clock.now() - since).total_seconds() if since else EARLY_SECONDS
    # Below 0 where a database with a slower clock has taken over.
    if not 0 <= age < EARLY_SECONDS or step.attempt > 1:
        return None
    kept = {name: step.observed[name] for name in OF_PODS if name in step.observed}
    seconds = min(EARLY_UNTIL_SECONDS - age, poll_seconds(work))
    return Outcome(verdict=Verdict.WAIT, observed={**kept, **observed}, wake_seconds=seconds)


def events_of(work: Work, *, fields: str = "") -> list[Json]:
    """Return the events of the namespace, or those that a field selector leaves."""
    return work.collection("events", fields=fields)


def told(trouble: Trouble) -> Json:
    """Return a trouble as a step's row keeps it."""
    return {
        "code": trouble.code,
        "message": masked(trouble.message),
        "pod": trouble.pod,
        "container": trouble.container,
        "exit_code": trouble.exit_code,
        "restarts": trouble.restarts,
    }


def waiting(
    work: Work,
    pods: list[Json],
    observed: Json,
    *,
    seconds: float | None = None,
    baseline: Mapping[str, int] | None = None,
    early: str = "",
) -> Outcome:
    """Wait, and show what is wrong with the pods meanwhile: it is what the step fails with past its time.

    Args:
        observed: what is seen besides.
        seconds: when to look again; where a watch tells of the object, leave it to `poll_seconds`.
        baseline: restarts that were there before.
        early: the object whose pods are past help as soon as one of them is; "" to wait for the time.
    """
    now, sights = clock.now(), Sights(dict(work.step.observed.get("sights") or {}))
    troubles = find_trouble(pods=pods, owner=None, sights=sights, now=now, baseline=baseline)
    if early and troubles and troubles[0].final:
        return failure(work, troubles[0], events_of(work), name=early)
    seen = {**observed, "sights": sights.seen, **({"trouble": told(troubles[0])} if troubles else {})}
    seen |= at_last(work, pods, troubles[0] if troubles else None, now)
    if seconds is None:
        seconds = poll_seconds(work, troubles[0] if early and troubles else None)
    return Outcome(verdict=Verdict.WAIT, observed=seen, wake_seconds=seconds)


def at_last(work: Work, pods: list[Json], trouble: Trouble | None, now: datetime) -> Json:
    """Return what a step is to keep that ends by its time; empty before that.

    Args:
        pods: that are waited for; those that are ready have nothing to say.
        trouble: what is wrong with them, where that is known.
    """
    deadline = work.step.deadline_at
    if deadline is None or (deadline - now).total_seconds() > LAST_SECONDS:
        return {}
    late = [pod for pod in pods if condition(pod.get("status") or {}, "Ready").get("status") != "True"]
    if not late:
        return {}
    about = trouble or _stuck(late[0])
    names = {about.pod} if about.pod else {pod["metadata"]["name"] for pod in late}
    events = events_of(work)
    warnings = diagnosis.newest_events(
        [each for each in events if each.get("type") == "Warning"], names=names
    )
    kept = {
        "message": warnings[-1]["message"] if warnings else "",
        "pod": about.pod,
        "container": about.container,
        "log": diagnosis.last_lines(work.cluster, work.environment.namespace, about),
        "events": diagnosis.newest_events(events, names=names),
    }
    return {"evidence": kept}


def _stuck(pod: Json) -> Trouble:
    """What is known of a pod of which nothing is: its name, and the first container that is not ready."""
    waits = [each["name"] for each in container_statuses(pod) if not each.get("ready")]
    return Trouble(code="timeout", message="", pod=pod["metadata"]["name"], container=next(iter(waits), ""))


def failure(work: Work, trouble: Trouble, events: list[Json], *, name: str) -> Outcome:
    """Fail a step with its pod's last log lines and newest events.

    Args:
        name: of the object whose events count where no pod is known.
    """
    said = told(trouble)
    message = said.pop("message")
    return failed(
        said.pop("code"),
        message,
        **said,
        log=diagnosis.last_lines(work.cluster, work.environment.namespace, trouble),
        events=diagnosis.newest_events(events, names={trouble.pod or name}),
    )
