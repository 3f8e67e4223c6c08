"""Composing a release, and making a new draft from an old one."""

from django.db import transaction

from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import NotAllowed
from portal.live.publish import publish, touch
from releases.models import Release
from releases.operations.apply import fill, grade_and_seal, write_lines
from releases.operations.composition import Composition, as_data, compose
from releases.operations.locking import noting_refusals
from releases.states import ReleaseState


def create_release(data: object, *, actor: Actor) -> Release:
    """Compose a draft; its versions are resolved to images and its grade is proposed at once.

    Args:
        data: the shape of interface.md, POST /releases; unknown fields are refused.

    Raises:
        Invalid: names every wrong field.
        NotAllowed: the person may not compose one of the services.
        TemporaryError: the registry does not answer.
    """
    if actor.user is None:
        raise NotAllowed
    with noting_refusals(None, actor=actor):
        composition = compose(data, actor=actor)
    return _store(composition, actor=actor)


def duplicate_release(number: int, *, actor: Actor) -> Release:
    """Make a new draft with the same content, resolved anew; works from any state.

    Raises:
        NotFound, Invalid, NotAllowed, TemporaryError: as for composing.
    """
    if actor.user is None:
        raise NotAllowed
    original = access.get_or_404(actor.user, Release, number=number)
    data = {**as_data(original), "target_at": None}
    with noting_refusals(number, actor=actor):
        composition = compose(data, actor=actor)
    return _store(composition, actor=actor, duplicate_of=original)


def _store(composition: Composition, *, actor: Actor, duplicate_of: Release | None = None) -> Release:
    assert actor.user is not None
    now = clock.now()
    with transaction.atomic():
        release = Release(
            author=actor.user,
            state=ReleaseState.DRAFT,
            duplicate_of=duplicate_of,
            created_at=now,
            changed_at=now,
        )
        fill(release, composition)
        release.save(force_insert=True)
        release.contributors.add(actor.user)
        if duplicate_of is not None:
            # The content is theirs as well: a copy is no way around "not your own".
            release.contributors.add(*duplicate_of.contributors.all())
        write_lines(release, composition)
        grade_and_seal(release, chosen=composition.grade)
        record(
            "release.created",
            actor=actor,
            subject=("release", str(release.number)),
            after={"title": release.title, "content": release.content},
            content_digest=release.content_digest,
            release=release.number,
        )
        publish(release.topic, "release.created", {"by": actor.name})
        touch(f"board.{release.environment.name}")
    return release
