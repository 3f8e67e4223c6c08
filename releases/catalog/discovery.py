"""Proposes Service documents from what runs in a namespace: pure, over objects as the API server gives them.

Nothing is assumed from names: which pods a Kubernetes Service reaches is worked out from its selector, which
container is meant from ports and probes; whatever cannot be known is said in a note.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from portal.integrations.argo.ownership import claim_of
from portal.integrations.kubernetes.workloads import Workload, containers, with_holder
from releases.catalog.images import Image, parse_image
from releases.catalog.schema import API_VERSION

Json = dict[str, Any]
Listed = Mapping[str, list[Json]]

WORKLOADS = ("Deployment", "StatefulSet", "Rollout")
BESIDE = ("DaemonSet", "Job", "CronJob", "ReplicaSet", "Pod")
NAME_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
ACTUATOR = "/actuator/health"


@dataclass(frozen=True)
class Place:
    """Where the proposed services belong: what no cluster knows."""

    namespace: str
    system: str
    team: str
    environments: tuple[str, ...]


@dataclass
class Proposed:
    """One Service document with what a person should know before using it."""

    document: Json
    notes: list[str] = field(default_factory=list)


@dataclass
class Discovery:
    """Everything found in a namespace."""

    services: list[Proposed] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def discover(listed: Listed, *, place: Place) -> Discovery:
    """Propose services.

    Args:
        listed: objects by kind, as read from the namespace.
    """
    workloads = _workloads(listed)
    views = [_View(each, listed.get("Service", [])) for each in workloads]
    found = Discovery()
    for group in _groups(views):
        found.services.append(_propose(group, views, listed, place))
    found.services.sort(key=lambda each: str(each.document["metadata"]["name"]))
    _tell_apart(found.services)
    found.beside = [
        f"{kind} {_name(each)}" for kind in BESIDE for each in listed.get(kind, []) if not _owned(each)
    ]
    found.warnings = [*_stray_autoscalers(listed), *_blind_services(listed, views)]
    return found


def _workloads(listed: Listed) -> list[Workload]:
    """What runs pods; a Deployment that only holds a Rollout's template is not one."""
    deployments = listed.get("Deployment", [])
    bodies = [
        {**with_holder(each, deployments), "kind": kind}
        for kind in WORKLOADS
        for each in listed.get(kind, [])
    ]
    # A Rollout that names a Deployment which is not there runs nothing.
    found = [each for each in map(Workload, bodies) if each.template]
    held = {each.written for each in found if each.holder is not None}
    return [each for each in found if each.reference not in held]


class _View:
    """A workload with the containers that are its own image, and the Services that reach its pods."""

    def __init__(self, workload: Workload, services: list[Json]) -> None:
        self.workload = workload
        self.name = workload.reference.name
        self.labels: dict[str, str] = (workload.template.get("metadata") or {}).get("labels") or {}
        self.services = [each for each in services if _selects(each, self.labels)]
        self.containers = containers(workload.template)
        self.main = _main_container(self)
        self.image = parse_image(str(self.main.get("image", "")))
        self.own = [
            each for each in self.containers if self.image_of(each).repository == self.image.repository
        ]

    def image_of(self, container: Json) -> Image:
        return parse_image(str(container.get("image", "")))

    @property
    def label(self) -> str:
        """The name its labels give it."""
        return next((self.labels[key] for key in NAME_LABELS if key in self.labels), "")


def _main_container(view: _View) -> Json:
    """The container that is the application: the one that carries its name, else the one that is reached."""
    running: list[Json] = view.workload.template["spec"]["containers"]
    targets = {port.get("targetPort", port.get("port")) for each in view.services for port in _ports(each)}
    words = {view.name, view.label, *(_name(each) for each in view.services)}

    def rank(container: Json) -> tuple[bool, bool, bool, bool]:
        ports = container.get("ports") or []
        offered = {port.get("containerPort") for port in ports} | {port.get("name") for port in ports}
        repository = parse_image(str(container.get("image", ""))).repository.rpartition("/")[2]
        return (
            container.get("name") in words,
            repository in words,
            bool((targets & offered) - {None}),
            "readinessProbe" in container,
        )

    return max(running, key=rank)


def _groups(views: list[_View]) -> list[list[_View]]:
    """Workloads that are one service: behind one Kubernetes Service and of one image, such as two colours."""
    joined: dict[tuple[str, str], list[_View]] = defaultdict(list)
    for view in views:
        # The Service with the fewest labels in its selector reaches the most workloads.
        behind = sorted(view.services, key=lambda each: (len(_selector(each)), _name(each)))
        key = _name(behind[0]) if behind else f"workload {view.workload.reference}"
        joined[key, view.image.repository].append(view)
    return list(joined.values())


def _propose(group: list[_View], views: list[_View], listed: Listed, place: Place) -> Proposed:
    group = sorted(group, key=lambda view: view.name)
    first = group[0]
    name = first.name if len(group) == 1 else _common_name(group)
    notes = [note for view in group for note in _notes(view, listed)]
    if len(group) > 1:
        names = ", ".join(view.name for view in group)
        notes.insert(
            0, _("Several workloads behind one Service, of one image: %(names)s.") % {"names": names}
        )
    notes += _shared_image(group, views)
    health, more = _health(first)
    spec: Json = {
        "team": place.team,
        "system": place.system,
        "image": first.image.name,
        "environments": list(place.environments),
        "workloads": [
            {
                "kind": view.workload.reference.kind,
                "name": view.name,
                "containers": [each["name"] for each in view.own],
            }
            for view in group
        ],
        "health": health,
    }
    document = {"apiVersion": API_VERSION, "kind": "Service", "metadata": {"name": name}, "spec": spec}
    return Proposed(document, [*dict.fromkeys((*notes, *more))])


def _tell_apart(services: list[Proposed]) -> None:
    """A Deployment and a StatefulSet may share a name; two services may not."""
    taken: set[str] = set()
    for each in services:
        metadata, workload = each.document["metadata"], each.document["spec"]["workloads"][0]
        if metadata["name"] in taken:
            metadata["name"] = f"{workload['name']}-{workload['kind'].lower()}"
        taken.add(metadata["name"])


def _common_name(group: list[_View]) -> str:
    """The Service's name, where all stand behind one."""
    shared = set.intersection(*({_name(each) for each in view.services} for view in group))
    return min(shared, key=len) if shared else group[0].name


def _notes(view: _View, listed: Listed) -> Iterator[str]:
    yield from _naming(view)
    yield from _images(view)
    yield from _probes(view)
    yield from _owners(view, listed)
    yield from _strategy(view)


def _naming(view: _View) -> Iterator[str]:
    if view.label and view.label != view.name:
        text = _("%(workload)s is labelled %(label)s.")
        yield text % {"workload": view.workload.reference, "label": view.label}
    for each in view.services:
        if _name(each) != view.name:
            text = _("%(workload)s is reached through the Service %(service)s.")
            yield text % {"workload": view.workload.reference, "service": _name(each)}


def _images(view: _View) -> Iterator[str]:
    for each in view.containers:
        image = view.image_of(each)
        values = {
            "container": each["name"],
            "image": each.get("image", ""),
            "workload": view.workload.reference,
        }
        if each not in view.own:
            text = _("%(workload)s also runs the container %(container)s (%(image)s), which stays as it is.")
            yield text % values
            continue
        if image.digest:
            yield _("%(container)s is pinned by digest; its tag says nothing.") % values
        elif not image.tag:
            yield _("The image of %(container)s has no tag: what runs cannot be told from its name.") % values
        elif image.tag == "latest":
            yield (
                _("The image of %(container)s is tagged latest: what runs cannot be told from its name.")
                % values
            )
    tags = {view.image_of(each).tag for each in view.own}
    if len(tags) > 1:
        yield _("Its containers run several versions of the image: %(tags)s.") % {
            "tags": ", ".join(sorted(tags))
        }


def _probes(view: _View) -> Iterator[str]:
    if "readinessProbe" not in view.main:
        text = _(
            "%(workload)s has no readiness probe: “available” says little. Let a settling time stand in."
        )
        yield text % {"workload": view.workload.reference}


def _owners(view: _View, listed: Listed) -> Iterator[str]:
    claim = claim_of(view.workload)
    owner = claim.application if claim is not None and not claim.common else ""
    values = {"workload": view.workload.reference, "owner": owner}
    if owner:
        text = _(
            "%(workload)s belongs to the Argo CD application %(owner)s, which undoes what others change."
        )
        yield text % values
    for each in listed.get("HorizontalPodAutoscaler", []):
        target = each["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) == (view.workload.reference.kind, view.name):
            bounds = {"low": each["spec"].get("minReplicas", 1), "high": each["spec"]["maxReplicas"]}
            text = _("The autoscaler %(owner)s owns its replicas (%(low)d to %(high)d).")
            yield text % {**bounds, "owner": _name(each)}


def _strategy(view: _View) -> Iterator[str]:
    spec, pod = view.workload.spec, view.workload.template["spec"]
    values = {"workload": view.workload.reference}
    if view.workload.replicas == 0:
        yield _("%(workload)s is at rest, with no replicas.") % values
    if spec.get("paused"):
        yield _("%(workload)s is paused: a new image would not roll out.") % values
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        yield _("%(workload)s is recreated: it is away while it changes.") % values
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        yield _("%(workload)s changes its pods only when they are deleted by hand.") % values
    ports = [port for each in view.containers for port in each.get("ports") or []]
    if pod.get("hostNetwork") or any(port.get("hostPort") for port in ports):
        yield _("%(workload)s takes ports of the node: a second copy cannot run beside the first.") % values


def _shared_image(group: list[_View], views: list[_View]) -> Iterator[str]:
    repository = group[0].image.repository
    others = sorted(
        str(view.workload.reference)
        for view in views
        if view not in group and view.image.repository == repository
    )
    if others:
        text = _("The same image also runs in %(others)s: release them together.")
        yield text % {"others": ", ".join(others)}


def _health(view: _View) -> tuple[Json, list[str]]:
    """How the probe's question can be asked through a Service, where it can."""
    probe = (view.main.get("readinessProbe") or {}).get("httpGet")
    if not probe:
        text = _("Its readiness probe asks nothing over HTTP: no health check is proposed.")
        return {"kind": "none"}, [text] if "readinessProbe" in view.main else []
    path = str(probe.get("path") or "/")
    for service in view.services:
        port = _service_port(service, view.main, probe.get("port"))
        if port and (service["spec"].get("clusterIP") != "None"):
            kind = "actuator" if path.startswith(ACTUATOR) else "http"
            found = {"kind": kind, "service": _name(service), "port": port, "path": path}
            return found, []
    return {"kind": "none"}, [_("No Service reaches the port that its readiness probe asks.")]


def _service_port(service: Json, container: Json, probed: object) -> int | None:
    """The Service's port behind which the probed container port lies."""
    ports = container.get("ports") or []
    number = next((port["containerPort"] for port in ports if port.get("name") == probed), probed)
    names = {port.get("name") for port in ports if port.get("containerPort") == number} - {None}
    for each in _ports(service):
        target = each.get("targetPort", each.get("port"))
        if target == number or target in names:
            return int(each["port"])
    return None


def _stray_autoscalers(listed: Listed) -> Iterator[str]:
    there = {(kind, _name(each)) for kind in (*WORKLOADS, "ReplicaSet") for each in listed.get(kind, [])}
    for each in listed.get("HorizontalPodAutoscaler", []):
        target = each["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) not in there:
            text = _("The autoscaler %(name)s aims at %(kind)s %(target)s, which does not exist.")
            yield text % {"name": _name(each), "kind": target["kind"], "target": target["name"]}


def _blind_services(listed: Listed, views: list[_View]) -> Iterator[str]:
    pods = [(each["metadata"].get("labels") or {}) for each in listed.get("Pod", [])]
    for each in listed.get("Service", []):
        reached = [view for view in views if each in view.services]
        is_blind = not reached and not any(_selects(each, labels) for labels in pods)
        if _selector(each) and is_blind:
            yield _("The Service %(name)s reaches no workload.") % {"name": _name(each)}
        if len({view.image.repository for view in reached}) > 1:
            workloads = ", ".join(sorted(str(view.workload.reference) for view in reached))
            mixed = _("The Service %(name)s reaches workloads of different images: %(workloads)s.")
            yield mixed % {"name": _name(each), "workloads": workloads}


def _selector(service: Json) -> dict[str, str]:
    return service["spec"].get("selector") or {}


def _selects(service: Json, labels: Mapping[str, str]) -> bool:
    selector = _selector(service)
    return bool(selector) and selector.items() <= labels.items()


def _ports(service: Json) -> list[Json]:
    return service["spec"].get("ports") or []


def _name(each: Json) -> str:
    return str(each["metadata"].get("name") or each["metadata"].get("generateName", ""))


def _owned(each: Json) -> bool:
    return bool(each["metadata"].get("ownerReferences"))
