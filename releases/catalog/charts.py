"""Services under Helm: their charts in the allowed folder, and the values that an environment gives them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.integrations.helm.charts import Chart, read_chart
from releases.catalog.models import Environment, Service

Json = dict[str, Any]


def chart_of(document: Mapping[str, Any]) -> Chart:
    """Read the chart that a service's `helm` names.

    Raises:
        PermanentError: with code "chart_refused" when it is not there, or not as a chart may be.
    """
    return read_chart(settings.HELM_CHARTS, str(document["chart"]))


def approved_of(service: Service, environment: Environment) -> Json | None:
    """What of a chart and its values an approval covers; None for a service that Helm does not own.

    A chart that cannot be read counts as none: once it can be, the content is another.
    """
    document = service.spec.get("helm")
    if not document:
        return None
    try:
        digest = chart_of(document).digest
    except PermanentError:
        digest = ""
    values = (document.get("values") or {}).get(environment.name) or {}
    return {**document, "values": values, "chart_digest": digest}


def values_for(
    document: Mapping[str, Any], environment: str, *, repository: str, version: str, digest: str
) -> Json:
    """Return the chart's values in an environment with the release's image, pinned where it has a digest.

    Args:
        repository: host and path of the image.
        version: its tag, a label only.

    Raises:
        PermanentError: with code "helm_values" when a path leads through a value that has no parts.
    """
    values: Json = deepcopy((document.get("values") or {}).get(environment) or {})
    paths = document["image"]
    host, _slash, name = repository.partition("/")
    parts = {
        "registry": host,
        "repository": name if "registry" in paths else repository,
        "tag": version if "digest" in paths or not digest else f"{version}@{digest}",
        "digest": digest,
        "reference": f"{repository}@{digest}" if digest else f"{repository}:{version}",
    }
    for part, path in paths.items():
        _put(values, str(path), parts[part])
    return values


def _put(values: Json, path: str, value: str) -> None:
    *folders, last = path.split(".")
    for folder in folders:
        below = values.setdefault(folder, {})
        if not isinstance(below, dict):
            text = _("The values have no part {folder} in which the image could stand.")
            raise PermanentError(text.format(folder=folder), code="helm_values")
        values = below
    values[last] = value
