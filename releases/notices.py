"""Who is told what about a release: messages in the outbox, and a nudge to the inboxes concerned."""

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from approvals import policy
from approvals import queries as approval_queries
from approvals.models import Decision
from approvals.states import Phase
from portal.audit.models import AuditEntry
from portal.live.publish import touch
from portal.outbox.post import post
from portal.people.models import Role, RoleAssignment, User
from releases import wording
from releases.announcement import announcement_of
from releases.catalog.models import Service
from releases.models import Release

LEADS = (Role.PL, Role.TEAM_LEAD, Role.DIRECTOR)


def tell_submitted(release: Release, rows: Sequence[policy.RequiredRow]) -> None:
    """Ask those who can decide, and tell those whom the grade's policy names."""
    deciders = _holders(rows, release, Phase.REVIEW)
    for user in deciders:
        with _language_of(user):
            _send(user, release, "review", _("Please review: {release}").format(release=release))
        touch(f"inbox.{user.pk}")
    for user in set(shared_with(release)) - set(deciders):
        with _language_of(user):
            _send(user, release, "shared", _("Submitted: {release}").format(release=release))
    lacking = policy.missing(rows)
    for user in _administrators() if lacking else ():
        with _language_of(user):
            roles = ", ".join(wording.role_name(row.role) for row in lacking)
            title = _("Nobody can review {release}: {roles}").format(release=release, roles=roles)
            _send(user, release, "nobody", title)
    touch(f"inbox.{release.author_id}")


def tell_settled(release: Release, *, reason: str) -> None:
    """Tell author and contributors that the review came to something, or opened again."""
    for user in {release.author, *release.contributors.all()}:
        with _language_of(user):
            title = _("{release} is {state}").format(release=release, state=release.get_state_display())
            _send(user, release, f"settled.{release.state}.{_times(release)}", title, body=reason)
        touch(f"inbox.{user.pk}")
    touch_deciders(release)


def tell_superseded(old: Release, new: Release) -> None:
    """Tell the author of a replaced release which one replaced it."""
    with _language_of(old.author):
        title = _("{release} was replaced by #{number}").format(release=old, number=new.number)
        _send(old.author, old, "superseded", title)
    touch(f"inbox.{old.author_id}")
    touch_deciders(old)


def tell_overlap(old: Release, new: Release, services: Sequence[str]) -> None:
    """Warn the authors of two pending releases that share services."""
    names = ", ".join(services)
    for release, other in ((old, new), (new, old)):
        with _language_of(release.author):
            title = _("{release} shares services with #{number}: {names}")
            title = title.format(release=release, number=other.number, names=names)
            _send(release.author, release, f"overlap.{other.number}", title)
        touch(f"inbox.{release.author_id}")


def tell_objection(release: Release, objection: Decision) -> None:
    """Show an objection to the author and to everybody who decides."""
    for user in {release.author, *_deciders(release)}:
        with _language_of(user):
            title = _("{name} objects to {release}").format(name=objection.person, release=release)
            _send(user, release, f"objection.{objection.pk}", title, body=objection.reason)
        touch(f"inbox.{user.pk}")


def tell_signoff_due(release: Release) -> None:
    """Ask for the sign-off of the result."""
    _ask(release, Phase.SIGNOFF, gettext_noop("Please sign off the result: {release}"))


def tell_review_owed(release: Release) -> None:
    """Ask for the review of what went out before anybody approved it."""
    _ask(release, Phase.OWED, gettext_noop("Please review what went out: {release}"))


def tell_announced(release: Release) -> None:
    """Post the announcement to everybody the grade's policy names."""
    text = announcement_of(release)
    for user in {release.author, *shared_with(release)}:
        with _language_of(user):
            title = _("Released: {release}").format(release=release)
            _send(user, release, "announced", title, body=text)


def tell_trouble(release: Release, *, reason: str) -> None:
    """Tell the author that the rollout needs somebody."""
    with _language_of(release.author):
        title = _("{release} is {state}").format(release=release, state=release.get_state_display())
        _send(release.author, release, f"trouble.{release.state}.{_times(release)}", title, body=reason)
    touch(f"inbox.{release.author_id}")


def touch_deciders(release: Release) -> None:
    """Let the inboxes of all who decide read again."""
    for user in _deciders(release, *Phase.values):
        touch(f"inbox.{user.pk}")


def shared_with(release: Release) -> list[User]:
    """Whom the policy of the chosen grade wants told (product.md, "The five grades")."""
    request = release.approval_request
    if request is None:
        return []
    audience = approval_queries.grade_policy(request.policy, request.grade).shared
    services = Service.objects.filter(items__release=release).select_related("team")
    if audience == "core_pls":
        services = Service.objects.filter(core=True, system=release.environment.system).select_related("team")
    scopes = {f"service:{service.name}" for service in services}
    scopes |= {f"team:{service.team.key}" for service in services}
    held = Q(assignments__scope__in=scopes, assignments__revoked_at=None)
    if audience != "team":
        held &= Q(assignments__role__in=LEADS)
    return list(User.objects.filter(held, is_active=True).distinct().order_by("pk"))


def _ask(release: Release, phase: Phase, title: str) -> None:
    for user in _deciders(release, phase):
        with _language_of(user):
            _send(user, release, str(phase), _(title).format(release=release))
        touch(f"inbox.{user.pk}")


def _deciders(release: Release, *phases: str) -> list[User]:
    if release.approval_request is None:
        return []
    standing = approval_queries.standing(release.approval_request)
    rows = [row for phase in phases or (Phase.REVIEW,) for row in standing.phase(phase)]
    return list({user.pk: user for row in rows for user in row.candidates}.values())


def _holders(rows: Iterable[policy.RequiredRow], release: Release, phase: str) -> list[User]:
    assert release.approval_request is not None
    fits = Q(pk__in=[])
    for row in rows:
        for role, scope in row.accepted if row.phase == phase else ():
            fits |= Q(assignments__role=role, assignments__scope=scope, assignments__revoked_at=None)
    barred = release.approval_request.barred.all()
    found = User.objects.filter(fits, is_active=True).exclude(pk__in=barred.values("pk"))
    return list(found.distinct().order_by("pk"))


def _administrators() -> list[User]:
    held = RoleAssignment.objects.filter(role=Role.ADMINISTRATOR, revoked_at=None, user__is_active=True)
    return list(User.objects.filter(pk__in=held.values("user")))


def _send(user: User, release: Release, what: str, title: str, body: str = "") -> None:
    """One message for each person, occasion and round; the key makes a repetition harmless."""
    request = release.approval_request
    rounds = request.round if request else 0
    post(
        f"release.{release.number}.round.{rounds}.{what}:{user.username}",
        channel="mail" if user.email else "console",
        recipient=user.email or user.username,
        subject=title,
        body=body or announcement_of(release),
        link=f"/releases/{release.number}/",
    )


def _language_of(user: User) -> override:
    """Messages are written in the language of who reads them."""
    return override(user.language or settings.LANGUAGE_CODE)


def _times(release: Release) -> int:
    """How often it has come to its present state: each time is an occasion of its own."""
    action = f"release.{release.state}"
    return AuditEntry.objects.filter(release=release.number, action=action).count()
