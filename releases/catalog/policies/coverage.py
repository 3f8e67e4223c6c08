"""Looking who could approve what, keeping the answer, and telling of gaps that are new."""

from dataclasses import asdict

from django.db import transaction

from approvals import policy_table
from approvals.coverage import Gap, find_gaps
from approvals.holders import grants, people
from approvals.models import Coverage, PolicyVersion
from approvals.operations.proposals import require_proposer
from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.people.models import User
from releases.catalog.policies import notices
from releases.catalog.policies.surroundings import concerns
from releases.catalog.policies.words import gap_sentence

# What may open or close a gap; the record says when it last happened.
ACTS = ("role.granted", "role.revoked", "person.deactivated", "catalog.loaded", "policy.changed")
LOOK_EVERY_SECONDS = 24 * 3600


def look_again(*, actor: Actor) -> Coverage | None:
    """Look now, because somebody asks.

    Raises:
        NotAllowed: the person is no administrator.
    """
    require_proposer(actor)
    return look()


def look() -> Coverage | None:
    """Look who could approve what, keep it with its time, and tell administrators of new gaps.

    Returns:
        What was found; None while there is no policy.
    """
    version = PolicyVersion.objects.first()
    if version is None:
        return None
    asked = concerns()
    found = find_gaps(policy_table.read(version.table), asked, people(grants()).holders)
    names = dict(User.objects.filter(pk__in={gap.author for gap in found}).values_list("pk", "username"))
    gaps = [_kept(gap, names) for gap in found]
    with transaction.atomic():
        known = Coverage.objects.select_for_update().first()
        kept = known or Coverage()
        new = [gap for gap in gaps if known is None or gap not in known.gaps]
        kept.policy, kept.gaps, kept.looked_at = version, gaps, clock.now()
        kept.services = len({concern.service for concern in asked})
        kept.save()
        if new:
            notices.tell_gaps(kept, lambda: [gap_sentence(gap) for gap in new])
    return kept


def is_due() -> bool:
    """Whether a day has passed since the last look, or something that decides the answer has changed."""
    known = Coverage.objects.first()
    if known is None:
        return PolicyVersion.objects.exists()
    if (clock.now() - known.looked_at).total_seconds() >= LOOK_EVERY_SECONDS:
        return True
    return AuditEntry.objects.filter(action__in=ACTS, at__gt=known.looked_at).exists()


def _kept(gap: Gap, names: dict[int, str]) -> dict[str, str]:
    return {**asdict(gap), "author": names[gap.author] if gap.author is not None else ""}
