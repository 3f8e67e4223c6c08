"""What a CI system sends of the shop, and what the portal's own processes make of it."""

from typing import Any

from django.utils import translation

from portal import clock
from releases.pipeline import jobs
from releases.pipeline.models import Arrival

BUILD = {
    "repository": "shop/shop",
    "ref": "refs/heads/main",
    "commit": "c0ffee00c0ffee00",
    "by": "author",
    "builds": [{"service": "shopping-service", "version": "2.8.0"}],
}


PUSH = (
    b'{"ref": "refs/heads/main", "after": "c0ffee00c0ffee00", "repository": {"full_name": "shop/shop"}, '
    b'"head_commit": {"id": "c0ffee00c0ffee00"}}'
)


def pushed_to_gitlab(commit: str, *, before: str) -> dict[str, Any]:
    """A push to main that puts one commit on top of another; each by its first two letters."""
    project = {"path_with_namespace": "shop/shop"}
    pushed = {"object_kind": "push", "ref": "refs/heads/main", "project": project}
    return {**pushed, "checkout_sha": commit * 20, "before": before * 20}


def work() -> None:
    """What the sweep and the workers do until nothing is due."""
    while due := list(Arrival.objects.filter(state="waiting", wake_at__lte=clock.now())):
        for arrival in due:
            with translation.override("en"):
                jobs.work(arrival.pk)


def arrival() -> Arrival:
    return Arrival.objects.select_related("release").latest("pk")


def tagged(version: str, **more: Any) -> dict[str, Any]:
    """The build of a tag."""
    builds = [{"service": "shopping-service", "version": version}]
    return {**BUILD, "ref": f"refs/tags/v{version}", "builds": builds, **more}
