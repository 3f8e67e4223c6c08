"""What the page of a release says of rollouts: pins, its place in the queue, and what did not end well."""

from django.urls import reverse
from django.utils.translation import gettext as _

from portal import access
from portal.people.models import User
from portal.sentences import worded
from releases.models import Release
from releases.remarks import Remark
from releases.rollouts import line, pins, unsettled
from releases.rollouts.models import Pin, QueuePlace, Rollout
from releases.rollouts.states import PlaceState
from releases.start import STARTABLE
from releases.states import EDITABLE, ReleaseState


def remarks_on(release: Release, user: User) -> list[Remark]:
    """Say what holds the release, or held it last."""
    if release.state not in EDITABLE:
        return []
    return [*_queue(release, user), *[_pin(each) for each in pins.pins_of(release)]]


def _queue(release: Release, user: User) -> list[Remark]:
    if release.state not in STARTABLE:
        return []
    place = QueuePlace.objects.filter(release=release).order_by("-pk").first()
    if place is not None and place.state == PlaceState.QUEUED:
        return [_place(release, place, user)]
    left = [_left(each) for each in unsettled.of_release(release)]
    if place is None or place.state != PlaceState.GIVEN_BACK or release.state == ReleaseState.SCHEDULED:
        return left
    text = _("It did not start when its turn came: {reason}").format(reason=worded(place.why or place.reason))
    return [Remark(shape="arrow-left", text=text), *left]


def _left(rollout: Rollout) -> Remark:
    text = _("Nothing starts by itself behind {text}.").format(text=unsettled.text_of(rollout))
    url = reverse("rollouts:detail", args=[rollout.pk])
    return Remark(shape="triangle", text=text, url=url, label=_("To the rollout"))


def _place(release: Release, place: QueuePlace, user: User) -> Remark:
    stand = line.stand_of(release)
    text = _("It waits for its turn at place {number}, behind: {text}.")
    may = access.allowed(user, "deploy", release.environment)
    return Remark(
        shape="clock",
        text=text.format(number=stand.number, text=stand.text or _("nobody any more")),
        url=reverse("rollouts:queue"),
        label=_("Queue"),
        act=reverse("rollouts:leave", args=[place.pk]) if may else "",
        act_label=_("Take out of the queue"),
    )


def _pin(pin: Pin) -> Remark:
    url = reverse("board-service", args=[pin.service.name, pin.environment.name])
    return Remark(shape="pin", text=str(pins.text_of(pin)), url=url, label=_("To the pin"))
