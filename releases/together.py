"""Releases that look like one cut up: the same team or service, the same environment, within a day.

Nobody is refused for it: whoever composes and whoever decides sees it, and the submission keeps it
(product.md, "Deploys are too frequent and irregular"; attacks.md 1b, "split a D change").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce

from approvals import grades
from releases import proposal
from releases.models import Release
from releases.states import ReleaseState

NEAR = timedelta(hours=24)
MOST = 20
UNSENT = (ReleaseState.DRAFT, ReleaseState.SENT_BACK)
NEVER_OUT = (ReleaseState.REJECTED, ReleaseState.WITHDRAWN, ReleaseState.EXPIRED, ReleaseState.SUPERSEDED)


@dataclass(frozen=True, kw_only=True)
class Together:
    """Other releases that could be one with this.

    Attributes:
        releases: the others, oldest first.
        grade: what the facts of all of them would propose for one release.
        is_graver: whether that is more than this release is graded.
    """

    releases: Sequence[Release]
    grade: str
    is_graver: bool

    def as_data(self) -> dict[str, Any]:
        """What the record keeps."""
        return {"releases": [release.number for release in self.releases], "grade": self.grade}


def looks_like_one(release: Release) -> Together | None:
    """The releases that this one looks like a part of; None where it stands alone.

    Drafts of other people don't count: nobody asked for them yet.
    """
    # Operations stand each for itself: they are no parts of a version that goes out.
    others = [] if release.operation else list(_near(release)[:MOST])
    if not others:
        return None
    others.sort(key=lambda other: other.number)
    items = [(release, item) for item in release.items.select_related("service")]
    items += [(other, item) for other in others for item in other.items.all()]
    grade = grades.propose([proposal.item_facts(each, item) for each, item in items]).grade
    is_graver = grades.is_lowered(release.grade, grade)
    return Together(releases=others, grade=grade, is_graver=is_graver)


def _near(release: Release) -> QuerySet[Release]:
    at = _moment(release)
    teams = release.items.values("service__team")
    sharing = Release.objects.filter(environment=release.environment_id, items__service__team__in=teams)
    return (
        Release.objects.filter(number__in=sharing.values("number"))
        .filter(operation={})
        .exclude(Q(number=release.number) | Q(state__in=NEVER_OUT))
        .exclude(Q(state__in=UNSENT) & ~Q(author=release.author_id))
        .annotate(at=Coalesce("target_at", "submitted_at", "changed_at"))
        .filter(at__gte=at - NEAR, at__lte=at + NEAR)
        .select_related("plan")
        .defer("content", "announcement", "checklist", "plan__source")  # by far the most of a release
        .prefetch_related("items__service")
        .order_by("-number")
    )


def _moment(release: Release) -> datetime:
    """When it is to go out, as far as is known."""
    sent = None if release.state in UNSENT else release.submitted_at
    return release.target_at or sent or release.changed_at
