"""How the server says no: codes, reasons and the shape of the answer."""

from collections.abc import Callable

import pytest

from tests.cluster.api import Api, Json, Refused
from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space, config_map, deployment

REVIEWS = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def test_a_missing_object_is_not_found(space: Space) -> None:
    refused = _refused(lambda: space.get("deployments", "nope"))
    assert refused.status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "nope" not found',
        "reason": "NotFound",
        "details": {"name": "nope", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_a_missing_namespace_reads_as_a_missing_object(cluster: Cluster) -> None:
    nowhere = Space(cluster.admin, "nowhere-at-all")
    refused = _refused(lambda: nowhere.get("deployments", "web"))
    assert (refused.code, refused.message) == (404, 'deployments.apps "web" not found')
    assert nowhere.find("deployments") == []


def test_nothing_is_created_in_a_missing_namespace(cluster: Cluster) -> None:
    refused = _refused(lambda: Space(cluster.admin, "nowhere-at-all").create(config_map("settings")))
    assert (refused.code, refused.reason) == (404, "NotFound")
    assert refused.message == 'namespaces "nowhere-at-all" not found'


def test_patching_and_deleting_what_is_not_there_is_not_found(space: Space) -> None:
    assert _refused(lambda: space.set_image("nope", "registry.test/web:2")).code == 404
    assert _refused(lambda: space.delete("deployments", "nope")).code == 404


def test_an_unknown_path_is_not_found(cluster: Cluster) -> None:
    assert cluster.admin.ask("GET", "apis/apps/v1/nonsense").code == 404


def test_creating_twice_says_that_it_exists(space: Space) -> None:
    space.create(config_map("settings"))
    refused = _refused(lambda: space.create(config_map("settings")))
    assert (refused.code, refused.reason) == (409, "AlreadyExists")
    assert refused.message == 'configmaps "settings" already exists'
    assert refused.status["details"] == {"name": "settings", "kind": "configmaps"}


def test_an_invalid_value_names_its_field(space: Space) -> None:
    space.create(deployment("web"))
    refused = _refused(lambda: space.patch("deployments", "web", {"spec": {"replicas": -1}}))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.status["details"]["name"] == "web"
    [cause] = refused.causes
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "spec.replicas")
    assert cause["message"] in refused.message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "spec.strategy.rollingUpdate.maxUnavailable",
        ),
        (
            {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
            "spec.template.spec.containers",
        ),
    ],
)
def test_a_deployment_that_makes_no_sense_is_not_created(space: Space, change: Json, field: str) -> None:
    refused = _refused(lambda: space.create(deployment("web", **change)))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert field in {cause["field"] for cause in refused.causes}


def test_the_selector_of_a_deployment_never_changes(space: Space) -> None:
    space.create(deployment("web"))
    labels = {"app": "web", "more": "1"}
    body = {"spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}}
    refused = _refused(lambda: space.patch("deployments", "web", body))
    assert refused.code == 422
    assert refused.causes[0]["field"] == "spec.selector"
    assert "immutable" in refused.causes[0]["message"]


def test_a_name_must_be_a_dns_name(space: Space) -> None:
    refused = _refused(lambda: space.create(config_map("Not_A_Name")))
    assert refused.code == 422
    assert refused.causes[0]["field"] == "metadata.name"


def test_a_body_that_is_no_json_is_a_bad_request(space: Space) -> None:
    space.create(config_map("settings"))
    refused = _refused(lambda: space.patch("configmaps", "settings", "text", kind="json"))
    assert (refused.code, refused.reason) == (400, "BadRequest")


def test_deleting_another_object_of_that_name_is_a_conflict(space: Space) -> None:
    space.create(config_map("settings"))
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "somebody-else"}}
    refused = _refused(lambda: space.delete("configmaps", "settings", body=body))
    assert (refused.code, refused.reason) == (409, "Conflict")
    assert space.get("configmaps", "settings")


def test_a_bad_token_is_unauthorized(cluster: Cluster) -> None:
    stranger = cluster.admin.as_user("not-a-token")
    refused = _refused(lambda: Space(stranger, "default").find("deployments"))
    assert (refused.code, refused.reason) == (401, "Unauthorized")


def test_nobody_is_forbidden_rather_than_unauthorized(cluster: Cluster) -> None:
    refused = _refused(lambda: Space(cluster.admin.as_user(None), "default").find("deployments"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert "system:anonymous" in refused.message


def test_the_limited_account_reads_and_patches(space: Space, cluster: Cluster) -> None:
    space.create(deployment("web"))
    limited = space.seen_by(cluster.limited)
    assert limited.get("deployments", "web")
    assert limited.find("pods") is not None
    patched = limited.set_image("web", "registry.test/web:2")
    assert patched["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/web:2"


def test_the_limited_account_is_forbidden_the_rest(space: Space, cluster: Cluster) -> None:
    space.create(deployment("web"))
    limited = space.seen_by(cluster.limited)
    refused = _refused(lambda: limited.delete("deployments", "web"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.status["details"] == {"name": "web", "group": "apps", "kind": "deployments"}
    assert 'deployments.apps "web" is forbidden' in refused.message
    what = f'cannot delete resource "deployments" in API group "apps" in the namespace "{space.name}"'
    assert what in refused.message
    assert _refused(lambda: limited.create(deployment("other"))).code == 403
    assert _refused(lambda: limited.find("secrets")).code == 403


def test_a_missing_right_outweighs_a_missing_object(space: Space, cluster: Cluster) -> None:
    refused = _refused(lambda: space.seen_by(cluster.limited).get("secrets", "nope"))
    assert refused.code == 403


@pytest.mark.parametrize(
    ("verb", "group", "resource", "sub", "allowed"),
    [
        ("get", "apps", "deployments", "", True),
        ("patch", "apps", "deployments", "", True),
        ("patch", "apps", "deployments", "scale", False),
        ("watch", "", "pods", "", True),
        ("get", "", "pods", "log", True),
        ("delete", "apps", "deployments", "", False),
        ("create", "", "pods", "exec", False),
        ("get", "", "secrets", "", False),
    ],
)
def test_an_account_can_ask_what_it_may_do(
    space: Space, cluster: Cluster, verb: str, group: str, resource: str, sub: str, allowed: bool
) -> None:
    asked = {"namespace": space.name, "verb": verb, "group": group, "resource": resource, "subresource": sub}
    assert _review(cluster.limited, asked) is allowed
    assert _review(cluster.admin, asked) is True


def test_a_token_is_issued_for_a_service_account(space: Space) -> None:
    space.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    answer = _token(space, 600)
    robot = space.seen_by(space.api.as_user(answer["status"]["token"]))
    refused = _refused(lambda: robot.find("deployments"))
    assert refused.code == 403
    assert f"system:serviceaccount:{space.name}:robot" in refused.message


def test_a_token_of_a_few_minutes_is_refused(space: Space) -> None:
    space.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    refused = _refused(lambda: _token(space, 300))
    assert refused.code == 422
    assert refused.causes[0]["field"] == "spec.expirationSeconds"


def _token(space: Space, seconds: int) -> Json:
    spec = {"expirationSeconds": seconds}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return space.api.create(space.path("serviceaccounts", "robot", sub="token"), body)


def _review(api: Api, attributes: dict[str, str]) -> bool:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(api.create(REVIEWS, body)["status"]["allowed"])


def _refused(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        act()
    assert refused.value.status["kind"] == "Status"
    assert refused.value.status["code"] == refused.value.code
    return refused.value
