"""Who is told of a finding: those who settle it, and the leads of the service."""

from collections.abc import Iterable

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import override

from portal.live.publish import touch_each
from portal.notices.telling import Notice, tell
from portal.people.models import Role, User
from releases.rollouts.findings.differences import read
from releases.rollouts.findings.people import deciders_of
from releases.rollouts.findings.wording import sentence
from releases.rollouts.models import Finding

KIND = "finding"


def tell_found(finding: Finding) -> None:
    """Ask those who can settle it, and tell the service's leads."""
    asked = deciders_of(finding.service)
    leads = User.objects.filter(
        is_active=True,
        assignments__role=Role.PL,
        assignments__scope=f"service:{finding.service.name}",
        assignments__revoked_at=None,
    )
    people = dict.fromkeys([*asked, *leads])
    tell([_notice(user, finding) for user in people])
    _touch(people)


def touch_deciders(finding: Finding) -> None:
    """Let the inboxes of all who settle it read again."""
    _touch(deciders_of(finding.service))


def _touch(people: Iterable[User]) -> None:
    touch_each(f"inbox.{user.pk}" for user in people)


def _notice(user: User, finding: Finding) -> Notice:
    with override(user.language or settings.LANGUAGE_CODE):
        title = _("Unapproved change: {service} in {environment}")
        return Notice(
            person=user,
            kind=KIND,
            key=f"finding.{finding.pk}:{user.username}",
            subject=title.format(service=finding.service.name, environment=finding.environment),
            body="\n".join(sentence(each) for each in read(finding.differences)),
            link=f"/findings/{finding.pk}/",
        )
