"""Evidence for a verdict, copied while the cluster still has it: last log lines and newest events."""

from collections.abc import Sequence

from portal.errors import PermanentError, TemporaryError
from portal.integrations.kubernetes.client import Cluster
from portal.integrations.kubernetes.trouble import Trouble, event_time
from portal.integrations.kubernetes.workloads import Json
from portal.masking import masked, masked_lines

LOG_LINES = 50
EVENTS = 5


def newest_events(events: Sequence[Json], *, names: set[str]) -> list[Json]:
    """Return the newest events about the named objects, newest last, cut to what people read."""
    about = [each for each in events if (each.get("involvedObject") or {}).get("name") in names]
    about.sort(key=event_time)
    return [
        {
            "at": event_time(each),
            "reason": each.get("reason", ""),
            "message": masked(str(each.get("message", "")))[:500],
            "object": (each.get("involvedObject") or {}).get("name", ""),
            "count": each.get("count") or 1,
        }
        for each in about[-EVENTS:]
    ]


def last_lines(cluster: Cluster, namespace: str, trouble: Trouble) -> list[str]:
    """Return the last log lines of the troubled container, of the run that died where there was one."""
    if not trouble.pod or not trouble.container:
        return []
    runs = [True, False] if trouble.restarts or trouble.exit_code is not None else [False]
    for previous in runs:
        try:
            lines = cluster.log_tail(
                namespace, trouble.pod, container=trouble.container, previous=previous, lines=LOG_LINES
            )
        except (TemporaryError, PermanentError):
            continue
        if lines:
            return masked_lines(lines)
    return []
