"""What schedules and their runs are called and came to, in the reader's language."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from releases import openings
from releases.rollouts import texts
from releases.schedules.models import BAD, UNMEASURED, ScheduledRun, What
from releases.schedules.recovery import INCIDENT, RESTORE, ROLLBACK, Recovered

Json = Mapping[str, Any]
OBSERVED: dict[str, str | Promise] = {
    "too_late": _("The portal did not run at that time, nor within what it may be late"),
    "overtaken": _("The next time had come before it could begin"),
    "changed": _("Its times were changed in the catalog before it could begin"),
    "still_runs": _("The run before it had not ended"),
    "held": _("It may not begin now"),
    "restoring": _("It waits until rollout {number} has restored the database"),
    "asking_services": _("{asked} of {count} services asked so far"),
    "no_time_left": _("Not asked: the time of the check was over"),
    "services_healthy": _("All services are healthy: {count}"),
}
RESULTS: dict[str, str | Promise] = {
    BAD: _("Not healthy: {names}"),
    UNMEASURED: _("No answer: {names}"),
}
# Failures whose words are which services they are about.
MEASURED = frozenset({"services_unhealthy", "services_unmeasured"})
CHANGES: dict[str, str | Promise] = {"new": _("New: {names}"), "well": _("Well again: {names}")}
FAILURES: dict[str, str | Promise] = {
    "no_such_job": _("The service has no such Job any more; correct the schedule in the catalog"),
    "broke_off": _("The portal itself failed at it; its log tells more under {incident}"),
}

RECOVERED: dict[str, str | Promise] = {
    INCIDENT: _("incident {number}"),
    ROLLBACK: _("way back of rollout {number}"),
    RESTORE: _("restore by rollout {number}"),
}


def title_of(spec: Json, what: str) -> str:
    """What a schedule is called."""
    return str(spec.get("title") or "") or f"{What(what).label} ({spec['name']})"


def outcome_text(run: ScheduledRun) -> str:
    """What a run came to, or what it waits for, in a few sentences."""
    if run.what == What.JOB:
        return _told(run)
    first = [] if run.failure and run.failure["code"] in MEASURED else [_told(run)]
    return ". ".join([*first, *_troubled(run), *_changed(run)])


def _told(run: ScheduledRun) -> str:
    if run.failure:
        return _filled(FAILURES, run.failure) or texts.failure(run.failure)
    told = _filled(OBSERVED, run.observed) or texts.observed(run.observed)
    closed = [openings.sentence(each, lifting=True) for each in run.observed.get("closures") or []]
    return ": ".join([told, " ".join(closed)] if closed else [told])


def _troubled(run: ScheduledRun) -> list[str]:
    """Which services a health check has found bad, and which did not answer."""
    found = {result: [name for name, each in run.troubled.items() if each == result] for result in RESULTS}
    return [_names(RESULTS[result], names) for result, names in found.items() if names]


def _changed(run: ScheduledRun) -> list[str]:
    """How it differs from the check before; where all trouble is new, that is said already."""
    changed = run.observed.get("changed") or {}
    new = changed.get("new") or []
    found = {"new": [] if new == sorted(run.troubled) else new, "well": changed.get("well") or []}
    return [_names(CHANGES[key], names) for key, names in found.items() if names]


def _names(text: str | Promise, names: list[str]) -> str:
    return str(text).format(names=", ".join(names))


def service_text(result: Json) -> str:
    """What one service answered in a health check."""
    return _filled(OBSERVED, result["seen"]) or texts.measured(result["seen"])


def _filled(table: Mapping[str, str | Promise], found: Json) -> str:
    text = table.get(str(found.get("code") or ""))
    return str(text).format_map({"names": "", "count": "", **(found.get("args") or {})}) if text else ""


def recovered_text(found: Recovered) -> str:
    """What a recovery was measured by."""
    return str(RECOVERED[found.kind]).format(number=found.number)


def recoveries_text(counts: Mapping[str, int]) -> str:
    """How many of each kind there were."""
    words = {
        INCIDENT: ngettext("{count} incident", "{count} incidents", counts.get(INCIDENT, 0)),
        ROLLBACK: ngettext("{count} rollback", "{count} rollbacks", counts.get(ROLLBACK, 0)),
        RESTORE: ngettext("{count} restore", "{count} restores", counts.get(RESTORE, 0)),
    }
    return ", ".join(words[kind].format(count=counts[kind]) for kind in words if counts.get(kind))
