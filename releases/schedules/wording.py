"""What schedules and their runs are called and came to, in the reader's language."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from releases import openings
from releases.rollouts import texts
from releases.schedules.models import ScheduledRun, What

Json = Mapping[str, Any]
OBSERVED: dict[str, str | Promise] = {
    "too_late": _("The portal did not run at that time, nor within what it may be late"),
    "overtaken": _("The next time had come before it could begin"),
    "still_runs": _("The run before it had not ended"),
    "held": _("It may not begin now"),
    "services_healthy": _("All {count} services are healthy"),
}
FAILURES: dict[str, str | Promise] = {
    "services_unhealthy": _("Not healthy: {names}"),
    "services_unmeasured": _("No answer: {names}"),
    "no_such_job": _("The service has no such Job any more; correct the schedule in the catalog"),
    "broke_off": _("The portal itself failed at it; its log tells more under {incident}"),
}


def title_of(spec: Json, what: str) -> str:
    """What a schedule is called."""
    return str(spec.get("title") or "") or f"{What(what).label} ({spec['name']})"


def outcome_text(run: ScheduledRun) -> str:
    """What a run came to, or what it waits for, in one sentence."""
    if run.failure:
        return _filled(FAILURES, run.failure) or texts.failure(run.failure)
    told = _filled(OBSERVED, run.observed) or texts.observed(run.observed)
    closed = [openings.sentence(each, lifting=True) for each in run.observed.get("closures") or []]
    return ": ".join([told, " ".join(closed)] if closed else [told])


def service_text(result: Json) -> str:
    """What one service answered in a health check."""
    return texts.measured(result["seen"])


def _filled(table: Mapping[str, str | Promise], found: Json) -> str:
    text = table.get(str(found.get("code") or ""))
    return str(text).format_map({"names": "", "count": "", **(found.get("args") or {})}) if text else ""
