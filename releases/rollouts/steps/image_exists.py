"""Preflight: the registry still has every image of the release under its digest."""

from portal.errors import PermanentError
from releases.catalog.versions import registry_for, split_image
from releases.models import Item
from releases.rollouts.images import digest_of, repository_of, target_image
from releases.rollouts.steps.kind import Outcome, Planned, StepKind, Work, done, failed


class ImageExists(StepKind):
    """Asks the registry for each item's digest; a tag that moved since is of no concern."""

    name = "image_exists"

    def plan(self, work: Work) -> Planned:
        """Name what is missing before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Name the images that are not there."""
        missing = []
        for item in work.items:
            try:
                _require(item)
            except PermanentError as error:
                missing.append(f"{target_image(item)}: {error.detail}")
        if missing:
            return failed("image_missing", "; ".join(missing))
        return done("images_exist", count=len(work.items))


def _require(item: Item) -> None:
    image = target_image(item)
    host, repository = split_image(repository_of(image))
    registry = registry_for(host)
    try:
        registry.digest_of(repository, digest_of(image) or item.version)
    finally:
        registry.close()
