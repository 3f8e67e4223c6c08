"""What a draft still needs before it can be submitted."""

from django.utils.translation import gettext as _

from approvals import grades
from portal.errors import Invalid, field_error
from releases import stations
from releases.models import Release


def require_complete(release: Release) -> None:
    """Raise Invalid, naming every field, unless the release has what a submission asks for."""
    needed = missing_in_draft(release)
    if needed:
        raise Invalid(missing=[field_error(field, text) for field, text in needed])


def missing_in_draft(release: Release) -> list[tuple[str, str]]:
    """(field, sentence) of everything a draft still needs before it can be submitted."""
    needed: list[tuple[str, str]] = []
    proposed = str(release.proposal.get("grade", ""))
    if not release.items.exists():
        needed.append(("items", _("At least one service is needed.")))
    if release.plan_id is None and not release.operation:
        needed.append(("plan", _("This environment has no plan. A platform engineer must add one.")))
    needed += [("items", text) for text in map(str, stations.missing_before(release))]
    if grades.is_lowered(release.grade, proposed) and not release.grade_reason:
        text = _("Say why the grade is lower than the proposed {grade}.").format(grade=proposed)
        needed.append(("grade_reason", text))
    if release.grade == grades.EMERGENCY:
        if not (release.incident or {}).get("link"):
            needed.append(("incident", _("An emergency release names its incident.")))
        if not release.grade_reason and not (release.incident or {}).get("reason"):
            needed.append(("grade_reason", _("Say why this cannot wait for approval.")))
    return needed
