"""What a run does: the steps of rollouts, taken up by the clock instead of a release."""

from collections.abc import Sequence
from datetime import timedelta

from portal import clock
from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.errors import MISSING
from portal.sentences import kept
from releases.catalog.models import Service
from releases.catalog.schedule_checks import RETENTION
from releases.models import Release
from releases.rollouts.models import Step
from releases.rollouts.steps.kind import Found, Json, Outcome, Verdict, Work, done, failed, wait
from releases.rollouts.steps.kinds import KINDS
from releases.rollouts.steps.run_job import RunJob, name_stem
from releases.schedules import operations
from releases.schedules.models import BAD, GOOD, UNMEASURED, ScheduledRun, What
from releases.schedules.models import Outcome as Ended

TIMEOUT_SECONDS = 600
# After it no further service is asked at the same look: a worker has other things to do as well.
LOOK_SECONDS = 10
RESULTS = {
    Verdict.DONE: Ended.SUCCEEDED,
    Verdict.FAILED: Ended.FAILED,
    Verdict.ERRORED: Ended.ERRORED,
    Verdict.INCONCLUSIVE: Ended.ERRORED,
    Verdict.HOLD: Ended.ERRORED,
}


class ScheduledJob(RunJob):
    """A Job of a schedule: made once for its due time, with the images that its template names."""

    name = "scheduled_job"

    def job_name(self, work: Work, attempt: int) -> str:  # noqa: ARG002  a run has one attempt
        """Return the name of the run's Job."""
        return f"{name_stem(work)}-{work.step.key}"

    def images(self, work: Work) -> dict[str, str]:  # noqa: ARG002  no release sets one
        """Return none: the template's stay."""
        return {}

    def variables(self, work: Work) -> dict[str, str]:
        """Return what the Job is told; a clean-up is told which backups are past their time."""
        if work.step.params["job"].get("purpose") != RETENTION:
            return super().variables(work)
        return {
            "PORTAL_KEEP_DAYS": str(work.step.params["keepDays"]),
            "PORTAL_REMOVE": "\n".join(work.step.params["remove"]),
        }


JOB = ScheduledJob()
HEALTH = "health"


def carry_on(run_id: int) -> None:
    """Do what a claimed run has to do next."""
    run = (
        ScheduledRun.objects.select_related("environment__cluster", "service__team").filter(pk=run_id).first()
    )
    if run is None or run.wake_at is None:
        return
    claim = run.wake_at
    if run.started_at is None and not operations.begin(run, claim):
        return
    outcome, run.acted = look(run)
    seen = outcome.observed
    if outcome.verdict != Verdict.WAIT:
        operations.end(run, claim, RESULTS[outcome.verdict], observed=seen, failure=outcome.failure)
    elif is_late(run):
        # With the trouble that was seen last, where there was one.
        late = seen.get("trouble") or {"code": "timeout"}
        operations.end(run, claim, Ended.ERRORED, observed=seen, failure=late)
    else:
        operations.wait(run, claim, observed=seen, seconds=outcome.wake_seconds)


def is_late(run: ScheduledRun) -> bool:
    """Whether a begun run has taken longer than it may."""
    return clock.now() > run.begun_at + timedelta(seconds=timeout_of(run))


def timeout_of(run: ScheduledRun) -> int:
    """How long the run may take (seconds)."""
    return int(run.spec.get("timeoutSeconds", TIMEOUT_SECONDS))


def look(run: ScheduledRun) -> tuple[Outcome, Json | None]:
    """Do the next of what a begun run has to do.

    Returns:
        What it came to, and what to remember of a write.
    """
    try:
        return _look(run)
    except TemporaryError as error:
        seen = {"code": error.code, "args": {"message": kept(error.detail)}}
        return Outcome(verdict=Verdict.WAIT, observed=seen, wake_seconds=error.retry_in), run.acted
    except PermanentError as error:
        failure = {"code": error.code, "message": kept(error.detail)}
        return Outcome(verdict=Verdict.ERRORED, failure=failure), run.acted


def _look(run: ScheduledRun) -> tuple[Outcome, Json | None]:
    if run.what == What.HEALTH:
        return _measure_all(run), None
    if not run.spec.get("job"):
        raise PermanentError(code="no_such_job")
    work = _work(run, run.service)
    if run.acted is None:
        prepared = JOB.prepare(work)
        if isinstance(prepared, Outcome):
            return prepared, None
        run.acted = prepared.acted if isinstance(prepared, Found) else JOB.act(work, prepared)
        work.step.acted = run.acted
    return JOB.observe(work), run.acted


def _measure_all(run: ScheduledRun) -> Outcome:
    """Ask the services of the environment that say how, as many as there is time for at one look."""
    rows = run.environment.services.order_by("name")
    asked = [each for each in rows if each.spec.get("health", {}).get("kind", "none") != "none"]
    if not asked:
        return Outcome(verdict=Verdict.INCONCLUSIVE, observed={"code": "no_health_known", "services": []})
    results, left = _ask(run, asked)
    if left and not is_late(run):
        counts = {"asked": len(results), "count": len(asked)}
        return wait("asking_services", seconds=0, args=counts, services=results)
    results += [_result(each, UNMEASURED, {"code": "no_time_left"}) for each in left]
    return _judged(results)


def _ask(run: ScheduledRun, asked: Sequence[Service]) -> tuple[list[Json], list[Service]]:
    """What they said, at earlier looks as well, and those for whom another look is needed."""
    names = {each.name for each in asked}
    results = [each for each in run.answers if each["service"] in names]
    known = {each["service"] for each in results}
    left = [each for each in asked if each.name not in known]
    until = clock.now() + timedelta(seconds=LOOK_SECONDS)
    while left and clock.now() < until:
        results.append(_measure(run, left.pop(0)))
    return results, left


def _judged(results: list[Json]) -> Outcome:
    """The worst answer counts."""
    bad = [each["service"] for each in results if each["result"] == BAD]
    unknown = [each["service"] for each in results if each["result"] == UNMEASURED]
    names = {"names": ", ".join(bad or unknown), "count": len(results)}
    if bad:
        return failed("services_unhealthy", args=names, services=results)
    if unknown:
        failure = {"code": "services_unmeasured", "args": names, "services": results}
        return Outcome(verdict=Verdict.ERRORED, failure=failure)
    return done("services_healthy", args=names, services=results)


def _measure(run: ScheduledRun, service: Service) -> Json:
    """What one service says of itself: bad is measured bad; no answer is not measured (product.md)."""
    try:
        outcome = KINDS[HEALTH].measure(_work(run, service))
    except TemporaryError as error:
        return _result(service, UNMEASURED, {"code": error.code, "args": {"message": kept(error.detail)}})
    except PermanentError as error:
        result = BAD if error.code == MISSING else UNMEASURED
        return _result(service, result, {"failure": {"code": error.code, "message": kept(error.detail)}})
    if outcome.verdict == Verdict.DONE:
        return _result(service, GOOD, outcome.observed)
    if outcome.observed.get("unmeasured"):
        return _result(service, UNMEASURED, outcome.observed)
    return _result(service, BAD, {"failure": outcome.failure} if outcome.failure else outcome.observed)


def _result(service: Service, result: str, seen: Json) -> Json:
    return {"service": service.name, "result": result, "seen": seen}


def _work(run: ScheduledRun, service: Service | None) -> Work:
    """A step that no rollout has, so that the kinds of rollouts can do it."""
    step = Step(
        key=f"t{run.pk}",
        kind=JOB.name if run.what == What.JOB else HEALTH,
        service=service,
        params={key: run.spec[key] for key in ("job", "keepDays", "remove") if run.spec.get(key) is not None},
        acted=run.acted,
        observed=run.observed,
        timeout_seconds=timeout_of(run),
        started_at=run.started_at or clock.now(),
    )
    return Work(
        step=step, release=Release(environment=run.environment), environment=run.environment, items=()
    )
