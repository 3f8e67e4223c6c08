"""Preflight: the registry still has every image of the release under its digest."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from portal.errors import PermanentError
from portal.integrations.registry.client import Registry
from portal.sentences import Text, joined, kept
from releases.catalog.versions import registry_for, split_image
from releases.models import Item
from releases.rollouts.images import digest_of, repository_of, target_image
from releases.rollouts.steps.kind import Outcome, Planned, StepKind, Work, done, failed

AT_ONCE = 6


class ImageExists(StepKind):
    """Asks the registry for each item's digest; a tag that moved since is of no concern."""

    name = "image_exists"
    measures = True

    def plan(self, work: Work) -> Planned:
        """Name what is missing before anybody starts."""
        return Planned(error=self.observe(work).failure)

    def observe(self, work: Work) -> Outcome:
        """Name the images that are not there."""
        hosts = {split_image(repository_of(target_image(item)))[0] for item in work.items}
        missing = [fault for host in sorted(hosts) for fault in _faults(host, work.items)]
        if missing:
            return failed("image_missing", kept(joined(missing, between="; ")))
        return done("images_exist", count=len(list(work.items)))


def _faults(host: str, items: Iterable[Item]) -> list[Text]:
    """What is wrong with the images at one registry; asked over few connections."""
    images = [(target_image(item), item.version) for item in items]
    named = [(*split_image(repository_of(image)), image, version) for image, version in images]
    here = [(repository, image, version) for at, repository, image, version in named if at == host]
    try:
        registry = registry_for(host)
    except PermanentError as error:
        return [_about(image, error) for _repository, image, _version in here]
    with closing(registry), ThreadPoolExecutor(AT_ONCE) as pool:
        return [fault for fault in pool.map(lambda each: _fault(registry, *each), here) if fault]


def _fault(registry: Registry, repository: str, image: str, version: str) -> Text:
    try:
        registry.digest_of(repository, digest_of(image) or version)
    except PermanentError as error:
        return _about(image, error)
    return ""


def _about(image: str, error: PermanentError) -> Text:
    return joined([image, error.detail], between=": ")
