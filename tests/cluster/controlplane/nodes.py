"""What simulated nodes know of images: the digest that a pod reports, and which of them cannot run."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from portal.embedded.cluster.images import HOST, Image, Images
from tests.cluster.api import Api, Json
from tests.cluster.objects import wait_for

FAIL = "practice/fail"
GROUP = "admissionregistration.k8s.io"
PLURALS = {
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
}


def reporting(stages: str, images: Path) -> str:
    """Let the stage that makes pods ready report what a node has pulled; kwok's own reports nothing."""
    found = {name: _pulled(each) for each in _every(images) for name in _names(each)}
    pairs = " ".join(json.dumps(text) for pair in found.items() for text in pair)
    known = stages.replace("{{ $now := Now }}", f"{{{{ $now := Now }}}}{{{{ $pulled := dict {pairs} }}}}")
    image = "- image: {{ .image | Quote }}\n"
    line = "        imageID: {{ or (index $pulled .image) .image | Quote }}\n"
    return known.replace(image, image + line)


def policies(images: Path) -> list[Json]:
    """Return the policies that mark pods whose image is labelled to fail, before a node sees them.

    A node would find out when it pulls or starts the image; kwok's stages go by the mark of a pod.
    """
    reasons: dict[str, list[str]] = {}
    for each in _every(images):
        if reason := each.labels.get(FAIL):
            reasons.setdefault(reason, []).extend(_names(each))
    return [body for reason, names in reasons.items() for body in _policy(reason, names)]


@contextlib.contextmanager
def marked(api: Api, reason: str, names: list[str]) -> Iterator[None]:
    """Let pods whose image has one of the names fail, from the first look at the block to its end."""
    bodies = _policy(reason, names)
    for body in bodies:
        api.create(collection_of(body), {"apiVersion": f"{GROUP}/v1", **body})
    try:
        # The server takes a policy up some time after it has taken it in.
        wait_for(lambda: _marks(api, names[0]) == reason, what=f"the policy that marks {reason}")
        yield
    finally:
        for body in bodies:
            api.delete(f"{collection_of(body)}/{body['metadata']['name']}")


def collection_of(body: Json) -> str:
    """Where a policy or its binding is made."""
    return f"apis/{GROUP}/v1/{PLURALS[body['kind']]}"


def _marks(api: Api, image: str) -> str | None:
    """How a pod of the image would be marked."""
    spec = {"containers": [{"name": "web", "image": image}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": spec}
    made = api.create("api/v1/namespaces/default/pods", body, dryRun="All")
    found: str | None = (made["metadata"].get("annotations") or {}).get(FAIL)
    return found


def _policy(reason: str, names: list[str]) -> list[Json]:
    name = f"images-{reason.lower()}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    marks = json.dumps({FAIL: reason})
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [
            {
                "name": "image",
                "expression": f"object.spec.containers.exists(each, each.image in {json.dumps(names)})",
            }
        ],
        "reinvocationPolicy": "Never",
        "mutations": [
            {
                "patchType": "ApplyConfiguration",
                "applyConfiguration": {
                    "expression": f"Object{{metadata: Object.metadata{{annotations: {marks}}}}}"
                },
            }
        ],
    }
    return [
        {"kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def _every(images: Path) -> list[Image]:
    return [each for tags in Images.load(images).tags.values() for each in tags.values()]


def _names(image: Image) -> list[str]:
    """The image as a pod may name it."""
    place = f"{HOST}/{image.repository}"
    return [f"{place}:{image.tag}", f"{place}@{image.digest}", f"{place}:{image.tag}@{image.digest}"]


def _pulled(image: Image) -> str:
    return f"{HOST}/{image.repository}@{image.node_digest}"
