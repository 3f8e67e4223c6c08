"""Editing: free while a draft; later it voids what was decided, because that was about another content."""

from django.utils.translation import gettext_lazy as _

from approvals.operations import void_request
from approvals.operations.refusals import stale_digest
from portal import access
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, NotAllowed, field_error
from portal.live.publish import publish
from releases.completeness import require_complete
from releases.models import Release
from releases.operations.apply import fill, grade_and_seal, keeps_content, save_wording, write_lines
from releases.operations.composition import Composition, compose
from releases.operations.locking import act, noting_refusals, require_compose, require_state
from releases.operations.moving import move_release
from releases.states import EDITABLE, ReleaseState

PLAIN_RECORD = ("title", "announcement", "grade_reason", "incident")


def edit_release(number: int, data: object, *, actor: Actor, if_match: str | None) -> Release:
    """Change what the data names; other sealed content returns the release to draft and voids decisions.

    Args:
        if_match: the content digest the person edited from.

    Raises:
        NotFound, Invalid, NotAllowed: as for composing.
        Conflict: it has started or ended, or stale_digest when somebody else was faster.
    """
    if actor.user is None:
        raise NotAllowed
    base = access.get_or_404(actor.user, Release, number=number)
    if not if_match:
        text = _("Say which content you edited: its digest belongs into If-Match.")
        raise Invalid(missing=[field_error("If-Match", text)])
    with noting_refusals(number, actor=actor):
        composition = compose(data, actor=actor, base=base)
    with act(number, actor=actor) as release:
        require_state(release, EDITABLE)
        if if_match != release.content_digest:
            raise stale_digest()
        services = [item.service for item in release.items.select_related("service")]
        require_compose(actor, services)
        _write(release, composition, actor=actor)
        return release


def _write(release: Release, composition: Composition, *, actor: Actor) -> None:
    assert actor.user is not None
    before = {"content": release.content, **{name: getattr(release, name) for name in PLAIN_RECORD}}
    digest_before = release.content_digest
    is_changed = _apply(release, composition)
    after = {"content": release.content, **{name: getattr(release, name) for name in PLAIN_RECORD}}
    differing = [key for key in after if before[key] != after[key]]
    record(
        "release.edited",
        actor=actor,
        subject=("release", str(release.number)),
        before={**{key: before[key] for key in differing}, "digest": digest_before},
        after={**{key: after[key] for key in differing}, "digest": release.content_digest},
        content_digest=release.content_digest,
        release=release.number,
    )
    if is_changed:
        release.contributors.add(actor.user)
        _void(release, actor=actor)
    publish(release.topic, "release.edited", {"by": actor.name, "digest": release.content_digest})


def _apply(release: Release, composition: Composition) -> bool:
    """Write the composition; returns whether the sealed content is another one now."""
    is_open = release.state in {ReleaseState.DRAFT, ReleaseState.SENT_BACK}
    if not is_open and keeps_content(release, composition):
        save_wording(release, composition)
        require_complete(release)
        return False
    fill(release, composition)
    write_lines(release, composition)
    return grade_and_seal(release, chosen=composition.grade)


def _void(release: Release, *, actor: Actor) -> None:
    """Return to draft what was submitted; the decisions were about another content."""
    if release.state in {ReleaseState.DRAFT, ReleaseState.SENT_BACK}:
        return
    reason = str(_("The content changed."))
    if release.approval_request_id is not None:
        void_request(release.approval_request_id, actor=actor, reason=reason, filed_under=release.number)
    release.approved_at = None
    move_release(release, ReleaseState.DRAFT, actor=actor, reason=reason, fields=["approved_at"])
