"""What no schema can say of schedules: that they are ever due, and that what they run is theirs to run."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from approvals.calendar import zones
from approvals.grades import Fact
from releases.catalog.cron import is_sound
from releases.catalog.documents import Document, Problem

Spec = Mapping[str, Any]
JOB = "job"
BACKUP, RETENTION, RESTORE = "backup", "retention", "restore"


def job_named(service: Spec, name: str) -> dict[str, Any] | None:
    """What a service's document says of a Job; None where there is none of this name."""
    return next((dict(each) for each in service.get("jobs", []) if each["name"] == name), None)


def restores_of(service: Spec) -> set[str]:
    """The names of the Jobs that restore a database."""
    return {str(job["name"]) for job in service.get("jobs", []) if job.get("purpose") == RESTORE}


def of_environment(document: Document, service_named: Callable[[str], Spec | None]) -> Iterator[Problem]:
    """Everything wrong with the schedules of an environment."""
    seen: set[str] = set()
    for index, each in enumerate(document.spec.get("schedules", [])):
        where = ("spec", "schedules", index)
        if each["name"] in seen:
            text = _("The %(kind)s %(name)s is listed twice.") % {"kind": "schedule", "name": each["name"]}
            yield document.problem(text, *where, "name")
        seen.add(each["name"])
        if not is_sound(each["cron"]):
            text = _("%(cron)s is never due. Write five fields such as 0 2 * * *.") % {"cron": each["cron"]}
            yield document.problem(text, *where, "cron")
        if each.get("timeZone", "UTC") not in zones.names():
            text = _("There is no time zone %(name)s.") % {"name": each["timeZone"]}
            yield document.problem(text, *where, "timeZone")
        if each["what"] == JOB:
            wrong = _wrong_job(document.name, each, service_named(each["service"]))
            yield from (document.problem(text, *where, field) for field, text in wrong)


def of_service(document: Document, environments: Mapping[str, Spec]) -> Iterator[Problem]:
    """Where schedules of environments that stay as they are would run what this service no longer has."""
    for name, environment in sorted(environments.items()):
        for each in environment.get("schedules", []):
            if each["what"] == JOB and each["service"] == document.name:
                text = _("The schedule %(schedule)s of %(environment)s runs it: %(problem)s")
                for _field, problem in _wrong_job(name, each, document.spec):
                    values = {"schedule": each["name"], "environment": name, "problem": problem}
                    yield document.problem(text % values, "spec", "jobs")
    jobs = document.spec.get("jobs", [])
    restoring = {job["cronJob"] for job in jobs if job.get("purpose") == RESTORE}
    for index, job in enumerate(jobs):
        restores = job.get("purpose") == RESTORE
        if restores and Fact.DATABASE_CHANGE not in job.get("touches", [Fact.DATABASE_CHANGE]):
            text = _("A restore is a database change: `touches` must name it.")
            yield document.problem(text, "spec", "jobs", index, "touches")
        if not restores and job["cronJob"] in restoring:
            # By another name it would restore without being asked twice.
            text = _("The CronJob %(name)s restores a database: no other Job may run it.")
            yield document.problem(text % {"name": job["cronJob"]}, "spec", "jobs", index, "cronJob")


def _wrong_job(environment: str, schedule: Spec, service: Spec | None) -> Iterator[tuple[str, str]]:
    """(field, sentence) of what is wrong with the Job that a schedule names."""
    names = {"service": schedule["service"], "job": schedule["job"], "environment": environment}
    if service is None:
        yield (
            "service",
            _("There is no %(kind)s named %(name)s.") % {"kind": "Service", "name": names["service"]},
        )
        return
    if environment not in service["environments"]:
        yield "service", _("%(service)s does not run in %(environment)s.") % names
    job = job_named(service, schedule["job"])
    if job is None:
        yield "job", _("%(service)s has no Job named %(job)s.") % names
        return
    if job.get("purpose") == RESTORE or job.get("touches") != []:
        # A schedule is approved by nobody: what an approval is for goes out as a release.
        yield "job", _("A schedule runs only a Job that touches nothing: write `touches: []` in the service.")
    if ("keepDays" in schedule) != (job.get("purpose") == RETENTION):
        yield "keepDays", _("keepDays belongs to a Job of the purpose retention, and to no other.")
