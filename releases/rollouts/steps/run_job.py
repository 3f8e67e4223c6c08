"""Runs a Job of a service, such as a migration: once per attempt, under a name by which it is found."""

from portal.errors import PermanentError
from portal.integrations.kubernetes.batch import COMPLETE, end_of, job_from, report_of, template_images
from portal.integrations.kubernetes.errors import MISSING
from portal.integrations.kubernetes.trouble import Trouble
from portal.integrations.kubernetes.workloads import STEP_ANNOTATION, containers
from releases.catalog.schedule_checks import BACKUP
from releases.rollouts.images import target_image
from releases.rollouts.steps import evidence
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Planned,
    Verdict,
    Work,
    done,
    failed,
    wait,
)

# No watch tells of Jobs, one tells of their pods: the Job itself ends right after the last of them.
POLL_SECONDS, ENDING_SECONDS = 2.0, 0.1
# The Job ends before the step's time does, so that no retry begins beside one that still runs.
MARGIN_SECONDS = 5
# What a Job says of a backup; whatever else it says is nobody's to read.
REPORTED = ("name", "rows", "sizeBytes")
# Of the CronJob's name; with what follows it a pod's label still holds the whole (63 characters).
NAME_LENGTH = 38


class RunJob(ActingKind):
    """Makes a Job from the CronJob that the catalog names, and waits for its end. Nothing undoes it.

    The name follows from rollout, step and attempt: the cluster itself refuses a second one.
    """

    name = "run_job"
    once = True

    def plan(self, work: Work) -> Planned:
        """Let the server check the Job without making it."""
        change = self._change(work)
        work.cluster.create("jobs", work.environment.namespace, change.payload, dry_run=True)
        return Planned(changes=change.changes)

    def prepare(self, work: Work) -> Change | Found | Outcome:
        """Find the earlier start's Job; wait for an earlier attempt that still runs."""
        made = _read(work, self.job_name(work, work.step.attempt))
        if made is not None:
            return self._found(work, made)
        for attempt in range(1, work.step.attempt):
            earlier = _read(work, self.job_name(work, attempt))
            if earlier is not None and not end_of(earlier):
                name = earlier["metadata"]["name"]
                return wait("job_still_runs", seconds=POLL_SECONDS, args={"name": name})
        return self._change(work)

    def act(self, work: Work, change: Change) -> Json:
        """Make the Job."""
        return _remembered(work.cluster.create("jobs", work.environment.namespace, change.payload))

    def observe(self, work: Work) -> Outcome:
        """Look for the Job's end, and meanwhile at its pods."""
        acted = work.step.acted or {}
        name = str(acted["job"])
        seen = _read(work, name)
        if seen is None or seen["metadata"]["uid"] != acted["uid"]:
            # Whether it had done its work cannot be known any more.
            return Outcome(verdict=Verdict.ERRORED, failure={"code": "job_gone", "args": {"name": name}})
        end = end_of(seen)
        pods = work.cluster.find("pods", work.environment.namespace, labels={"job-name": name}).items
        if end.get("type") == COMPLETE:
            return self.succeeded(work, name, report_of(pods))
        return _failed(work, seen, end, pods) if end else _running(work, name, pods)

    def job_name(self, work: Work, attempt: int) -> str:
        """Return the name of an attempt's Job."""
        rollout = work.rollout.pk if work.rollout else 0
        return f"{name_stem(work)}-r{rollout}s{work.step.position}a{attempt}"

    def images(self, work: Work) -> dict[str, str]:
        """Return the release's image for each container that the catalog names."""
        if work.item is None:
            raise PermanentError(code="no_item")
        image = target_image(work.item)
        return dict.fromkeys(work.step.params["job"].get("containers") or [], image)

    def variables(self, work: Work) -> dict[str, str]:
        """Return what the Job is told beside its template: a backup is told what it is called."""
        if work.step.params["job"].get("purpose") == BACKUP:
            return {"PORTAL_BACKUP": self.job_name(work, work.step.attempt)}
        return {}

    def succeeded(self, work: Work, name: str, report: Json) -> Outcome:  # noqa: ARG002  for other kinds
        """Judge a Job that ended well, by what it says of its work."""
        told = {key: report[key] for key in REPORTED if key in report}
        return done("job_done", name=name, **({"report": told} if told else {}))

    def _change(self, work: Work) -> Change:
        template, name = _template(work), self.job_name(work, work.step.attempt)
        cron_job = work.cluster.read("cronjobs", work.environment.namespace, template)
        if cron_job is None:
            raise PermanentError(f"cronjob/{template}", code=MISSING)
        images = self.images(work)
        job = job_from(
            cron_job,
            name=name,
            annotations=work.mark,
            images=images,
            seconds=max(1, work.step.timeout_seconds - MARGIN_SECONDS),
            variables=self.variables(work),
        )
        before = template_images(cron_job)
        shown = {"object": f"cronjob/{template}", "field": "job", "before": "", "after": name}
        changes = [
            {
                "object": f"job/{name}",
                "field": f"image[{container}]",
                "before": before[container],
                "after": image,
            }
            for container, image in images.items()
        ]
        return Change(changes=[shown, *changes], payload=job)

    def _found(self, work: Work, made: Json) -> Found | Outcome:
        """Ours by its mark and its images; one that only has the name is somebody else's."""
        name = made["metadata"]["name"]
        mark = (made["metadata"].get("annotations") or {}).get(STEP_ANNOTATION)
        images = {each["name"]: each.get("image") for each in containers(made["spec"]["template"])}
        if mark != work.mark[STEP_ANNOTATION] or not self.images(work).items() <= images.items():
            return failed("job_name_taken", args={"name": name})
        return Found(acted=_remembered(made), observed={"code": "job_runs", "args": {"name": name}})


def name_stem(work: Work) -> str:
    """Return what the names of Jobs from a CronJob begin with."""
    return _template(work)[:NAME_LENGTH].rstrip("-.")


def _template(work: Work) -> str:
    return str(work.step.params["job"]["cronJob"])


def _read(work: Work, name: str) -> Json | None:
    return work.cluster.read("jobs", work.environment.namespace, name)


def _remembered(job: Json) -> Json:
    images = {each["name"]: each.get("image", "") for each in containers(job["spec"]["template"])}
    return {"job": job["metadata"]["name"], "uid": job["metadata"]["uid"], "images": images}


def _running(work: Work, name: str, pods: list[Json]) -> Outcome:
    """Show what is wrong with the pods; the Job's own end decides, as it makes new pods by its own rules."""
    observed = {"code": "job_runs", "args": {"name": name}}
    ending = bool(pods) and all((pod.get("status") or {}).get("phase") == "Succeeded" for pod in pods)
    return evidence.waiting(work, pods, observed, seconds=ENDING_SECONDS if ending else POLL_SECONDS)


def _failed(work: Work, job: Json, end: Json, pods: list[Json]) -> Outcome:
    """Fail with the words of the pod that died last; a Job past its deadline has taken its pods with it."""
    name = job["metadata"]["name"]
    pod, container, ended = _last_death(pods)
    seen: Json = work.step.observed.get("trouble") or {}
    trouble = Trouble(
        code=str(end.get("reason") or "JobFailed"),
        message=str(ended.get("message") or seen.get("message") or end.get("message") or ""),
        pod=pod or str(seen.get("pod") or ""),
        container=container or str(seen.get("container") or ""),
        exit_code=ended.get("exitCode", seen.get("exit_code")),
    )
    return evidence.failure(work, trouble, evidence.events_of(work), name=name)


def _last_death(pods: list[Json]) -> tuple[str, str, Json]:
    """Return pod, container and end of the container that died last with an error."""
    deaths = [
        (str(ended.get("finishedAt") or ""), pod["metadata"]["name"], status["name"], ended)
        for pod in pods
        for field in ("initContainerStatuses", "containerStatuses")
        for status in (pod.get("status") or {}).get(field) or []
        if (ended := (status.get("state") or {}).get("terminated") or {}).get("exitCode")
    ]
    if not deaths:
        return "", "", {}
    _at, pod, container, ended = max(deaths, key=lambda death: death[:3])
    return pod, container, ended
