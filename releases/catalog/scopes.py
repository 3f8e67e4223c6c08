"""Over what roles can be granted besides teams: what the catalog knows by name."""

from collections.abc import Callable

from releases.catalog.models import Environment, Service

THERE: dict[str, Callable[[str], bool]] = {
    "service": lambda name: Service.objects.filter(name=name).exists(),
    "environment": lambda name: Environment.objects.filter(name=name).exists(),
    "cluster_group": lambda name: Environment.objects.filter(cluster_group=name).exists(),
}
