"""Which kinds of objects the practice cluster serves, and under which names."""

from dataclasses import dataclass

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource. `model` names its schema, `subresources` what hangs below an object.

    A `custom` one is there by a definition: it knows no strategic merge patch, and its status is a half of
    its own only where `subresources` say so.
    """

    group: str
    version: str
    plural: str
    kind: str
    model: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    custom: bool = False

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name in error texts, such as `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


ALL = ("all",)
STATUS = ("status",)
SCALED = ("scale", "status")
RBAC = "rbac.authorization.k8s.io"
ARGO = "argoproj.io"
GATEWAY = "gateway.networking.k8s.io"

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "configmaps", "ConfigMap", "V1ConfigMap", short=("cm",)),
    Kind("", "v1", "endpoints", "Endpoints", "V1Endpoints", short=("ep",)),
    Kind("", "v1", "events", "Event", "CoreV1Event", short=("ev",)),
    Kind("", "v1", "limitranges", "LimitRange", "V1LimitRange", short=("limits",)),
    Kind(
        "",
        "v1",
        "namespaces",
        "Namespace",
        "V1Namespace",
        namespaced=False,
        short=("ns",),
        subresources=("finalize", "status"),
        verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
    ),
    Kind("", "v1", "nodes", "Node", "V1Node", namespaced=False, short=("no",), subresources=STATUS),
    Kind(
        "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "V1PersistentVolumeClaim", short=("pvc",)
    ),
    Kind(
        "",
        "v1",
        "pods",
        "Pod",
        "V1Pod",
        short=("po",),
        categories=ALL,
        subresources=("eviction", "log", "proxy", "status"),
    ),
    Kind(
        "", "v1", "resourcequotas", "ResourceQuota", "V1ResourceQuota", short=("quota",), subresources=STATUS
    ),
    Kind("", "v1", "secrets", "Secret", "V1Secret"),
    Kind(
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        "V1ServiceAccount",
        short=("sa",),
        subresources=("token",),
    ),
    Kind("", "v1", "services", "Service", "V1Service", short=("svc",), categories=ALL, subresources=STATUS),
    Kind("apps", "v1", "controllerrevisions", "ControllerRevision", "V1ControllerRevision"),
    Kind(
        "apps",
        "v1",
        "daemonsets",
        "DaemonSet",
        "V1DaemonSet",
        short=("ds",),
        categories=ALL,
        subresources=STATUS,
    ),
    Kind(
        "apps",
        "v1",
        "deployments",
        "Deployment",
        "V1Deployment",
        short=("deploy",),
        categories=ALL,
        subresources=SCALED,
    ),
    Kind(
        "apps",
        "v1",
        "replicasets",
        "ReplicaSet",
        "V1ReplicaSet",
        short=("rs",),
        categories=ALL,
        subresources=SCALED,
    ),
    Kind(
        "apps",
        "v1",
        "statefulsets",
        "StatefulSet",
        "V1StatefulSet",
        short=("sts",),
        categories=ALL,
        subresources=SCALED,
    ),
    Kind(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "V2HorizontalPodAutoscaler",
        short=("hpa",),
        categories=ALL,
        subresources=STATUS,
    ),
    Kind(
        "batch", "v1", "cronjobs", "CronJob", "V1CronJob", short=("cj",), categories=ALL, subresources=STATUS
    ),
    Kind("batch", "v1", "jobs", "Job", "V1Job", categories=ALL, subresources=STATUS),
    Kind(
        ARGO,
        "v1alpha1",
        "applications",
        "Application",
        "ArgoApplication",
        short=("app", "apps"),
        custom=True,
    ),
    Kind(
        ARGO,
        "v1alpha1",
        "rollouts",
        "Rollout",
        "ArgoRollout",
        short=("ro",),
        subresources=SCALED,
        custom=True,
    ),
    Kind(
        GATEWAY,
        "v1",
        "httproutes",
        "HTTPRoute",
        "HTTPRoute",
        categories=("gateway-api",),
        subresources=STATUS,
        custom=True,
    ),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", "V1Lease"),
    Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", "V1EndpointSlice"),
    Kind("networking.k8s.io", "v1", "ingresses", "Ingress", "V1Ingress", short=("ing",), subresources=STATUS),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "V1NetworkPolicy", short=("netpol",)),
    Kind(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "V1PodDisruptionBudget",
        short=("pdb",),
        subresources=STATUS,
    ),
    Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", "V1ClusterRoleBinding", namespaced=False),
    Kind(RBAC, "v1", "clusterroles", "ClusterRole", "V1ClusterRole", namespaced=False),
    Kind(RBAC, "v1", "rolebindings", "RoleBinding", "V1RoleBinding"),
    Kind(RBAC, "v1", "roles", "Role", "V1Role"),
)

REVIEW_GROUP = "authorization.k8s.io"

_BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_NAME = {(kind.api_version, kind.kind): kind for kind in KINDS}
_BY_RESOURCE = {kind.resource: kind for kind in KINDS}


def by_path(group: str, version: str, plural: str) -> Kind | None:
    return _BY_PATH.get((group, version, plural))


def by_name(api_version: str, kind: str) -> Kind | None:
    return _BY_NAME.get((api_version, kind))


def named(resource: str) -> Kind:
    """The kind called such as `pods` or `deployments.apps`; KeyError where there is none."""
    return _BY_RESOURCE[resource]


PODS = named("pods")
NODES = named("nodes")
NAMESPACES = named("namespaces")
SERVICES = named("services")
ENDPOINTS = named("endpoints")
EVENTS = named("events")
SECRETS = named("secrets")
CONFIGMAPS = named("configmaps")
CLAIMS = named("persistentvolumeclaims")
SERVICEACCOUNTS = named("serviceaccounts")
QUOTAS = named("resourcequotas")
DEPLOYMENTS = named("deployments.apps")
REPLICASETS = named("replicasets.apps")
STATEFULSETS = named("statefulsets.apps")
DAEMONSETS = named("daemonsets.apps")
REVISIONS = named("controllerrevisions.apps")
JOBS = named("jobs.batch")
CRONJOBS = named("cronjobs.batch")
AUTOSCALERS = named("horizontalpodautoscalers.autoscaling")
BUDGETS = named("poddisruptionbudgets.policy")
SLICES = named("endpointslices.discovery.k8s.io")
HTTPROUTES = named("httproutes.gateway.networking.k8s.io")
ROLLOUTS = named(f"rollouts.{ARGO}")
ROLES = named(f"roles.{RBAC}")
CLUSTERROLES = named(f"clusterroles.{RBAC}")
ROLEBINDINGS = named(f"rolebindings.{RBAC}")
CLUSTERROLEBINDINGS = named(f"clusterrolebindings.{RBAC}")
