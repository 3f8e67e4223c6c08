"""Gives pods their nodes, or says why none fits."""

import hashlib

from portal.embedded.cluster import clock, kinds, volumes
from portal.embedded.cluster.discovery import GIT_VERSION
from portal.embedded.cluster.store import Object, Store

NODE_NAMES = ("practice-1", "practice-2", "practice-3")


def ensure_nodes(store: Store) -> None:
    """Make the nodes of a new cluster."""
    for name in NODE_NAMES:
        if store.get(kinds.NODES, "", name) is None:
            store.create(kinds.NODES, _node(name))


def _node(name: str) -> Object:
    stamp = clock.stamp()
    room = {"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "200Gi"}
    identity = hashlib.sha256(name.encode()).hexdigest()[:32]
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
    }
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"podCIDR": "127.41.0.0/16"},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{**condition, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp}],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "machineID": identity,
                "systemUUID": identity,
                "bootID": identity,
                "kernelVersion": "6.1.0",
                "osImage": "Practice Linux",
                "containerRuntimeVersion": "practice://1.0",
                "kubeletVersion": GIT_VERSION,
                "kubeProxyVersion": GIT_VERSION,
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def choose(store: Store, pod: Object) -> tuple[str, str]:
    """A node's name, or the reason why there is none; one of both is empty."""
    nodes = store.every(kinds.NODES)
    selector = pod["spec"].get("nodeSelector") or {}
    closed = [node for node in nodes if (node.get("spec") or {}).get("unschedulable")]
    open_nodes = [node for node in nodes if node not in closed]
    fitting = [
        node
        for node in open_nodes
        if all((node["metadata"].get("labels") or {}).get(key) == value for key, value in selector.items())
    ]
    unbound = volumes.unbound(store, pod)
    if fitting and not unbound:
        load = dict.fromkeys((node["metadata"]["name"] for node in fitting), 0)
        for other in store.every(kinds.PODS):
            if other["spec"].get("nodeName") in load:
                load[other["spec"]["nodeName"]] += 1
        return min(load, key=lambda name: (load[name], name)), ""
    parts = [unbound] if unbound else []
    if closed:
        parts.append(f"{len(closed)} node(s) were unschedulable")
    if open_nodes and not fitting:
        parts.append(f"{len(open_nodes)} node(s) didn't match Pod's node affinity/selector")
    because = ", ".join(parts) or "no nodes available to schedule pods"
    none = f"0/{len(nodes)} nodes are available:"
    preempting = f"preemption: {none} {len(nodes)} Preemption is not helpful for scheduling."
    return "", f"{none} {because}. {preempting}"
