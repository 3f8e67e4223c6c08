"""What the ground itself measures."""

from datetime import UTC, datetime

import django_rq
from rq.job import Job
from rq.serializers import JSONSerializer

from portal import clock
from portal.api.probes import gauge
from portal.audit import queries
from portal.live.hub import open_sockets
from portal.outbox.models import Message, MessageState


@gauge("queue_age_seconds", "Age of the oldest job that waits for a worker")
def queue_age() -> float:
    """Nought when nothing waits."""
    queue = django_rq.get_queue("default", serializer=JSONSerializer)
    oldest = next(iter(queue.get_job_ids(0, 1)), None)
    if oldest is None:
        return 0.0
    jobs = Job.fetch_many([oldest], connection=queue.connection, serializer=JSONSerializer)
    since = jobs[0].enqueued_at if jobs and jobs[0] else None
    return (clock.now() - _aware(since)).total_seconds() if since else 0.0


@gauge("queue_jobs", "Jobs that wait for a worker")
def queue_jobs() -> float:
    """The length of the queue."""
    return float(django_rq.get_queue("default").count)


@gauge("outbox_lag_seconds", "How long the message that is most overdue has been due")
def outbox_lag() -> float:
    """Nought when nothing is overdue."""
    now = clock.now()
    due = Message.objects.filter(state=MessageState.WAITING, next_at__lt=now).order_by("next_at").first()
    return (now - due.next_at).total_seconds() if due else 0.0


@gauge("outbox_messages", "Messages by state", label="state")
def outbox_messages() -> dict[str, float]:
    """Waiting and parked; those sent are not counted at every scrape."""
    waiting = (MessageState.WAITING, MessageState.PARKED)
    return {state: float(Message.objects.filter(state=state).count()) for state in waiting}


@gauge("chain_head", "Number of the newest entry of the record")
def chain_head() -> float:
    """Nought before the first entry."""
    head = queries.head()
    return float(head.number or 0) if head else 0.0


@gauge("chain_broken", "1 when the last verification found the record broken")
def chain_broken() -> float:
    """Nought when it was whole, or was never verified."""
    check = queries.last_check()
    return 1.0 if check is not None and check.fault else 0.0


@gauge("sockets", "Browsers that follow something over this process")
def sockets() -> float:
    """Open live connections."""
    return float(open_sockets())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
