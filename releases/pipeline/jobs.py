"""Nudges of what arrived, and the sweep that finds what nobody nudged."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from portal import clock
from portal.actors import Actor
from portal.jobs import Failure, enqueue, job, on_failure, sweep
from portal.sentences import sentence
from releases.pipeline.models import Arrival
from releases.pipeline.states import ArrivalState

WORK = "releases.pipeline.jobs.work"


def broke_off(arrival_id: int, *, failure: Failure) -> None:
    """Refuse what breaks off by a fault of our own, again and again, with the number to quote."""
    from releases.pipeline import operations  # noqa: PLC0415  as below

    text = _("It broke off by a fault of the portal. Quote number {number}.")
    operations.give_up_broken(
        arrival_id, sentence(text, number=failure.incident), actor=Actor.portal("sweep")
    )


@on_failure(broke_off)
@job
def work(arrival_id: int) -> None:
    """Carry one arrival as far as it can go now."""
    from releases.pipeline import operations  # noqa: PLC0415  the sweeper needs no engine

    operations.work(arrival_id)


@sweep(every_seconds=2)
def work_due() -> None:
    """Nudge arrivals whose time has come."""
    due = Arrival.objects.filter(state=ArrivalState.WAITING, wake_at__lte=clock.now())
    for pk in due.order_by("wake_at", "pk").values_list("pk", flat=True)[:500]:
        enqueue(WORK, pk)


@sweep(every_seconds=3600)
def forget_old_events() -> None:
    """Remove what came longer ago than CI_EVENTS_KEEP_DAYS."""
    from releases.pipeline import forgetting  # noqa: PLC0415  once an hour

    forgetting.forget_old(settings.CI_EVENTS_KEEP_DAYS, actor=Actor.portal("sweep"))
