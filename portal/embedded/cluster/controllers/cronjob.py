"""The CronJob controller: makes a Job at each minute that its schedule names."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from portal.embedded.cluster import clock, kinds
from portal.embedded.cluster.controllers import ownership
from portal.embedded.cluster.controllers.job import is_over
from portal.embedded.cluster.controllers.podwork import MANAGER
from portal.embedded.cluster.errors import ApiError
from portal.embedded.cluster.events import Events
from portal.embedded.cluster.objects import Objects, Options
from portal.embedded.cluster.store import Change, Key, Object, Store

COMPONENT = "cronjob-controller"
NAMED = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


class CronJobs:
    def __init__(self, store: Store, objects: Objects, events: Events) -> None:
        self._store = store
        self._objects = objects
        self._events = events

    def keys(self, change: Change) -> Iterable[Key]:
        if change.kind is kinds.CRONJOBS:
            yield change.object["metadata"]["namespace"], change.object["metadata"]["name"]
        if change.kind is kinds.JOBS:
            yield from ownership.owner_key(change, kinds.CRONJOBS)

    def sync(self, key: Key) -> float | None:
        item = self._store.get(kinds.CRONJOBS, *key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return None
        zone = item["spec"].get("timeZone")
        now = clock.now().astimezone(ZoneInfo(zone)) if zone else clock.now()
        minute = now.replace(second=0, microsecond=0)
        last = item["status"].get("lastScheduleTime") or item["metadata"]["creationTimestamp"]
        is_new = minute > clock.parse(last)
        if is_new and not item["spec"].get("suspend") and is_due(item["spec"]["schedule"], minute):
            item = self._fire(item, minute)
        self._count(item)
        return (minute + timedelta(minutes=1) - now).total_seconds() + 0.05

    def _jobs(self, item: Object) -> list[Object]:
        uid = item["metadata"]["uid"]
        jobs = self._store.every(kinds.JOBS, item["metadata"]["namespace"])
        return [job for job in jobs if (ownership.controller_of(job) or {}).get("uid") == uid]

    def _fire(self, item: Object, minute: datetime) -> Object:
        """Make the Job of a minute, unless the last one still runs and may not be joined."""
        active = [job for job in self._jobs(item) if not is_over(job)]
        policy = item["spec"]["concurrencyPolicy"]
        if active and policy == "Forbid":
            return item
        metadata = item["metadata"]
        if policy == "Replace":
            for job in active:
                options = Options(propagation="Background")
                self._objects.delete(
                    kinds.JOBS, metadata["namespace"], job["metadata"]["name"], options=options
                )
        template = item["spec"]["jobTemplate"]
        name = f"{metadata['name']}-{int(minute.timestamp()) // 60}"
        body = {
            "metadata": {
                **(template.get("metadata") or {}),
                "name": name,
                "ownerReferences": [ownership.reference(kinds.CRONJOBS, item)],
            },
            "spec": template["spec"],
        }
        options = Options(manager=MANAGER, validation="Ignore")
        try:
            self._objects.create(kinds.JOBS, metadata["namespace"], body, options=options)
        except ApiError as error:
            self._tell(item, "FailedCreate", f"Error creating job: {error.message}", warning=True)
            return item
        self._tell(item, "SuccessfulCreate", f"Created job {name}")
        status = {**item["status"], "lastScheduleTime": clock.stamp(minute)}
        return self._store.update(kinds.CRONJOBS, {**item, "status": status})

    def _count(self, item: Object) -> None:
        """Note the Jobs that run, and forget old ones beyond the limits."""
        jobs = sorted(self._jobs(item), key=lambda job: str(job["metadata"]["creationTimestamp"]))
        active = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                **{k: job["metadata"][k] for k in ("name", "namespace", "uid")},
            }
            for job in jobs
            if not is_over(job)
        ]
        status = {name: value for name, value in item["status"].items() if name != "active"}
        self._store.update(
            kinds.CRONJOBS, {**item, "status": {**status, **({"active": active} if active else {})}}
        )
        for name, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            ended = [job for job in jobs if _ended_as(job, name)]
            for job in ended[: max(len(ended) - item["spec"][limit], 0)]:
                self._store.remove(kinds.JOBS, job)

    def _tell(self, item: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.tell(
            kinds.CRONJOBS, item, reason=reason, message=message, component=COMPONENT, warning=warning
        )


def _ended_as(job: Object, name: str) -> bool:
    conditions = job["status"].get("conditions") or []
    return any(each["type"] == name and each["status"] == "True" for each in conditions)


def is_due(schedule: str, minute: datetime) -> bool:
    """Whether a schedule of five fields names a minute; an unreadable one names none."""
    fields = NAMED.get(schedule, schedule).split()
    if len(fields) != len(RANGES):
        return False
    weekday = (minute.weekday() + 1) % 7
    values = (minute.minute, minute.hour, minute.day, minute.month, weekday)
    met = [_holds(field, value, span) for field, value, span in zip(fields, values, RANGES, strict=True)]
    met[4] = met[4] or (weekday == 0 and _holds(fields[4], 7, RANGES[4]))
    if fields[2] != "*" and fields[4] != "*":
        # Cron's old rule: with both days named, either is enough.
        return all(met[index] for index in (0, 1, 3)) and (met[2] or met[4])
    return all(met)


def _holds(field: str, value: int, span: tuple[int, int]) -> bool:
    for part in field.split(","):
        place, _, step = part.partition("/")
        low, _, high = place.partition("-")
        if place == "*":
            begin, end = span
        elif low.isdigit():
            begin = int(low)
            end = int(high) if high.isdigit() else (span[1] if step else begin)
        else:
            continue
        if begin <= value <= end and (value - begin) % (int(step) if step.isdigit() else 1) == 0:
            return True
    return False
