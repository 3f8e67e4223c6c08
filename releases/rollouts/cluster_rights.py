"""The rights of the portal's account in a namespace: needed, useful, and more than it should have."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product

from portal.integrations.kubernetes.client import Cluster, Right

AT_ONCE = 8
READ = ("get", "list", "watch")
APPS, AUTOSCALING, BATCH, DISCOVERY = "apps", "autoscaling", "batch", "discovery.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
ARGO = "argoproj.io"


def _rights(group: str, resources: Iterable[str], verbs: Iterable[str]) -> list[Right]:
    named = [resource.partition("/") for resource in resources]
    return [
        Right(verb=verb, resource=resource, group=group, subresource=subresource)
        for (resource, _slash, subresource), verb in product(named, verbs)
    ]


# Without these a rollout stops: reading and changing workloads, and saying why pods do not start.
NEEDED = [
    *_rights(APPS, ("deployments", "statefulsets"), (*READ, "patch")),
    *_rights(APPS, ("replicasets",), ("get", "list")),
    *_rights("", ("pods", "events"), READ),
    *_rights("", ("pods/log", "services"), ("get",)),
]
# Each serves one kind of step or diagnosis; a plan without them does without the right.
USEFUL = [
    *_rights(APPS, ("daemonsets",), (*READ, "patch")),
    *_rights(APPS, ("controllerrevisions",), READ),
    *_rights(DISCOVERY, ("endpointslices",), READ),
    *_rights("", ("resourcequotas",), READ),
    *_rights("", ("services",), ("list", "watch", "patch")),
    *_rights("", ("pods/proxy",), ("get",)),
    *_rights(AUTOSCALING, ("horizontalpodautoscalers",), (*READ, "patch")),
    *_rights(GATEWAY, ("httproutes",), ("get", "patch")),
    *_rights(ARGO, ("rollouts",), (*READ, "patch")),
    *_rights(ARGO, ("rollouts/status",), ("patch",)),
    *_rights(ARGO, ("applications",), ("get",)),
    *_rights(BATCH, ("jobs",), ("create", *READ)),
    *_rights(BATCH, ("cronjobs",), ("get",)),
    *_rights("metrics.k8s.io", ("pods",), ("list",)),
]
# An account that may do this gives whoever holds its token more than a release needs.
TOO_MUCH = [
    Right(verb="get", resource="secrets"),
    Right(verb="create", resource="pods", subresource="exec"),
    Right(verb="*", resource="*", group="*"),
]


@dataclass(frozen=True)
class Standing:
    """What the account may do in one namespace."""

    missing: list[str]
    wanting: list[str]
    excessive: list[str]


def standing_in(cluster: Cluster, namespace: str) -> Standing:
    """Ask the cluster for every right, one review each.

    Raises:
        TemporaryError, PermanentError: the cluster does not answer or refuses the question.
    """

    asked = [*NEEDED, *USEFUL, *TOO_MUCH]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = dict(zip(asked, pool.map(partial(cluster.may, namespace=namespace), asked), strict=True))
    return Standing(
        missing=[str(right) for right in NEEDED if not answers[right]],
        wanting=[str(right) for right in USEFUL if not answers[right]],
        excessive=[str(right) for right in TOO_MUCH if answers[right]],
    )
