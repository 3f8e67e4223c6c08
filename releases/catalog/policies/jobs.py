"""The look at who could approve what: once a day, and soon after roles, services or the policy changed."""

from portal.jobs import sweep
from releases.catalog.policies import coverage


@sweep(every_seconds=60)
def look_for_gaps() -> None:
    """Look again when it is due; administrators, who alone change roles, are told of what is new."""
    if coverage.is_due():
        coverage.look()
