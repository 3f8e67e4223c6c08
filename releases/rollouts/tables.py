"""What each kind of step is: where it may stand, its time, what records for it and what takes it back."""

from typing import Any

Json = dict[str, Any]

# What each kind is given where the plan says nothing (seconds), and whether it is done once per workload.
TIMEOUTS = {
    "access_check": 30,
    "pods_running": 30,
    "image_exists": 30,
    "record_running": 30,
    "set_image": 60,
    "promote": 600,
    "wait_rollout": 600,
    "health": 120,
    "http": 60,
    "prometheus": 60,
    "watch": 60,
    "verify_digests": 60,
    "notice": 60,
    "restore_image": 60,
    "run_job": 600,
    "scale": 300,
    "restore_scale": 300,
    "record_services": 30,
    "switch_service": 60,
    "restore_services": 60,
    "record_weights": 30,
    "set_weight": 60,
    "restore_weights": 60,
    "restart": 60,
    "restore_database": 3600,
    "set_resources": 60,
    "restore_resources": 60,
    "find_colours": 30,
    "cluster_view": 300,
    "record_manifests": 30,
    "apply_manifests": 120,
    "restore_manifests": 120,
    "helm_check": 120,
    "helm_backup": 60,
    "helm_upgrade": 300,
    "helm_status": 60,
    "helm_rollback": 300,
    "certificate": 30,
    "log_pattern": 60,
    "headroom": 60,
    "secret_hygiene": 30,
}
BEFORE = frozenset(
    {
        *("access_check", "pods_running", "image_exists", "helm_check", "http", "health", "prometheus"),
        *("notice", "certificate", "headroom", "secret_hygiene"),
    }
)
# Those of an operation stand in no file of the catalog.
OF_OPERATIONS = frozenset({"restart", "set_resources"})
EACH = OF_OPERATIONS | {
    *("set_image", "wait_rollout", "promote", "health", "http", "prometheus", "watch"),
    *("helm_backup", "helm_upgrade", "certificate", "log_pattern"),
}
# Before or after the members of a wave, each of one service.
AROUND = frozenset(
    {
        *("run_job", "scale", "switch_service", "set_weight", "watch", "cluster_view", "restore_database"),
        *("apply_manifests", "health"),
    }
)
# After each size of a list of them.
CHECKS = frozenset({"cluster_view", "health", "prometheus", "pods_running", "watch"})
# What changes the cluster, and what takes it back; a Job and a restart are not undone.
UNDONE_BY = {
    "set_image": "restore_image",
    "set_resources": "restore_resources",
    "scale": "restore_scale",
    "switch_service": "restore_services",
    "set_weight": "restore_weights",
    "helm_upgrade": "helm_rollback",
    "apply_manifests": "restore_manifests",
}
# What changes a service or its data, whether it can be taken back or not.
ACTS_ON_SERVICE = frozenset({*UNDONE_BY, "promote", "restart", "run_job", "restore_database"})
# What records at the start what such a step will change, and the field that says which objects.
RECORDED_BY = {
    "switch_service": ("record_services", "services"),
    "set_weight": ("record_weights", "route"),
    "apply_manifests": ("record_manifests", "manifests"),
}
# What writes the template of a workload's pods, on either way; after it one waits for new pods.
WRITES_TEMPLATE = {
    "forward": ("set_image", "set_resources", "restart", "helm_upgrade"),
    "back": ("restore_image", "restore_resources", "helm_rollback"),
}
# What gives the members of a wave their new images, each by its owner, and what gives them back.
RELEASING = frozenset({"set_image", "helm_upgrade"})
GIVES_BACK = frozenset(UNDONE_BY[each] for each in RELEASING)
# What is about a Helm release: done for each service under Helm, and for no other.
HELM = frozenset({"helm_check", "helm_backup", "helm_upgrade", "helm_status"})
AFTER = frozenset(
    {
        *("http", "health", "prometheus", "pods_running", "watch", "verify_digests", "helm_status", "notice"),
        *("certificate", "cluster_view"),
    }
)
# Before and after the waves these name the service of the catalog that they are about.
OF_A_SERVICE = frozenset({"health", "watch", "cluster_view"})
# A step that has one of these is about a part of its service: a colour, a workload, the two of a canary.
PARTS = frozenset({"colour", "workload", "pair"})
# These are about one workload where a service has only that one, and otherwise about the one they name.
SIZED = frozenset({"scale", "cluster_view"})
PER_WORKLOAD = frozenset({"record_running", "set_image", "wait_rollout", "promote"}) | OF_OPERATIONS
OWN_KEYS = frozenset({"id", "kind", "title", "timeoutSeconds"})
DEFAULT_EACH: tuple[Json, ...] = ({"kind": "set_image"}, {"kind": "wait_rollout"})
# How long a cluster view stands unchanged before it counts, where the plan does not say (protocols.md, E).
STABLE_SECONDS = 60
# What only workloads of some kinds have.
ONLY_FOR = {"promote": frozenset({"Rollout"})}
DEFAULT_WORKLOAD_KIND = "Deployment"
