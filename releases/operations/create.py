"""Composing a release, and making a new draft from an old one."""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, NotAllowed, field_error
from portal.live.publish import publish, touch
from releases import stations
from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.operations.apply import fill, grade_and_seal, write_lines
from releases.operations.composition import Composition, as_data, compose
from releases.operations.locking import noting_refusals
from releases.operations.operate import compose_operation
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
    return store(composition, actor=actor)


def create_operation(name: str, env: str, data: object, *, actor: Actor) -> Release:
    """Draft an operation on a service that runs: no version goes out, and its grade is proposed at once.

    Args:
        name: of the service.
        env: of the environment.
        data: {"kind", …} by the kind of operation, and "grade", "grade_reason", "incident" as for a release.

    Raises:
        NotFound: no such service or environment, or the person may not see it.
        Invalid: names every wrong field.
        NotAllowed: the person may not compose releases of the service.
        Conflict: `running_unknown`, it is not known what runs.
    """
    if actor.user is None:
        raise NotAllowed
    environment = access.get_or_404(actor.user, Environment, name=env)
    service = access.get_or_404(actor.user, Service, name=name, environments=environment)
    with noting_refusals(None, actor=actor):
        composition = compose_operation(service, environment, data, actor=actor)
    return store(composition, actor=actor)


def duplicate_release(number: int, *, actor: Actor) -> Release:
    """Make a new draft with the same content, resolved anew; works from any state.

    Raises:
        NotFound, Invalid, NotAllowed, TemporaryError: as for composing.
    """
    if actor.user is None:
        raise NotAllowed
    original = access.get_or_404(actor.user, Release, number=number)
    with noting_refusals(number, actor=actor):
        composition = _composed_again(original, actor=actor)
    return store(composition, actor=actor, duplicate_of=original)


def _composed_again(original: Release, *, actor: Actor) -> Composition:
    if original.operation:
        service = original.items.select_related("service").get().service
        return compose_operation(service, original.environment, original.operation, actor=actor)
    return compose({**as_data(original), "target_at": None}, actor=actor)


def carry_release(number: int, environment: str, *, actor: Actor) -> Release:
    """Make a draft for the environment that follows in the row, with the very same images.

    No tag is resolved again, then or at the submission: what was tried goes on (product.md, "A release's
    life"). Services that do not run there stay behind.

    Raises:
        NotFound: no such release, or the person may not see it.
        Invalid: that environment does not follow, or none of the services runs there.
        NotAllowed: the person may not compose one of the services.
    """
    if actor.user is None:
        raise NotAllowed
    original = access.get_or_404(actor.user, Release, number=number)
    following = stations.onward(original, access.visible(actor.user, Environment))
    target = next((each for each in following if each.name == environment), None)
    if target is None:
        text = _("{name} does not follow {environment}, or none of these services runs there.")
        named = text.format(name=environment, environment=original.environment.name)
        raise Invalid(missing=[field_error("environment", named)])
    with noting_refusals(number, actor=actor):
        composition = compose(_onward(original, target), actor=actor, base=original)
    return store(composition, actor=actor, carried_from=original)


def _onward(original: Release, target: Environment) -> dict[str, Any]:
    """What goes along: everything but what was said about the place before."""
    there = set(target.services.values_list("name", flat=True))
    data = as_data(original)
    return {
        **data,
        "environment": target.name,
        "items": [item for item in data["items"] if item["service"] in there],
        "database_changes": [
            change for change in data["database_changes"] if change["service"] in {"", *there}
        ],
        "plan": None,
        "grade": None,
        "grade_reason": "",
        "incident": None,
        "target_at": None,
        "announcement": "",
    }


def store(
    composition: Composition,
    *,
    actor: Actor,
    duplicate_of: Release | None = None,
    carried_from: Release | None = None,
) -> Release:
    """Write a composed release as a new draft."""
    assert actor.user is not None
    now = clock.now()
    with transaction.atomic():
        release = Release(
            author=actor.user,
            state=ReleaseState.DRAFT,
            duplicate_of=duplicate_of,
            carried_from=carried_from,
            created_at=now,
            changed_at=now,
        )
        fill(release, composition)
        release.save(force_insert=True)
        release.contributors.add(actor.user)
        if original := duplicate_of or carried_from:
            # The content is theirs as well: a copy is no way around "not your own".
            release.contributors.add(*original.contributors.all())
        write_lines(release, composition)
        grade_and_seal(release, chosen=composition.grade)
        record(
            "release.created",
            actor=actor,
            subject=("release", str(release.number)),
            after={
                "title": release.title,
                "content": release.content,
                **({"carried_from": carried_from.number} if carried_from else {}),
            },
            content_digest=release.content_digest,
            release=release.number,
        )
        publish(release.topic, "release.created", {"by": actor.name})
        touch(f"board.{release.environment.name}")
    return release
