"""The sweep over what was put off."""

from portal.jobs import sweep
from portal.notices.operations import send_digests


@sweep(every_seconds=20)
def collect_digests() -> None:
    """Send the digests that are due."""
    send_digests()
