"""Items of a checklist that the portal answers: written in the catalog, refused where they make no sense."""

import pytest

from releases.catalog.files import check, load_folder
from releases.catalog.models import Checklist
from tests.catalog.conftest import LOADER, SMALL, Folder

pytestmark = pytest.mark.django_db
HEAD = "---\napiVersion: portal/v1\nkind: Checklist\nmetadata: {name: shop}\nspec:\n  items:\n    - "
ASKED = "workloads: [{kind: Deployment, name: web, containers: [web]}]"
WITH_HEALTH = SMALL.replace(ASKED, f"{ASKED}\n  health: {{kind: http, service: web, port: 80, path: /}}", 1)


@pytest.mark.parametrize(
    "item",
    [
        "{phase: before, text: a, check: {kind: pods_running}}",
        "{phase: before, text: a, check: {kind: access_check}}",
        "{phase: during, text: a, check: {kind: health, service: web}}",
        '{phase: after, text: a, check: {kind: http, url: "https://shop.example/", expect: 204}}',
        "{phase: after, text: a, check: {kind: http, service: web, port: 80, path: /}}",
        "{phase: after, text: a, check: {kind: verify_digests}}",
        "{phase: before, text: a, check: {kind: headroom}}",
        "{phase: before, text: a, check: {kind: secret_hygiene, secrets: [{name: a, minLengths: {K: 9}}]}}",
        "{phase: before, text: a, check: {kind: certificate, host: shop.example, minDays: 21}}",
        "{phase: after, text: a, check: {kind: certificate, service: web, port: 443, serverName: a.example}}",
        "{phase: during, text: a, check: {kind: log_pattern, service: web, forbid: [panic], lines: 50}}",
    ],
)
def test_an_item_may_name_what_the_portal_measures(folder: Folder, item: str) -> None:
    load_folder(folder(f"{WITH_HEALTH}{HEAD}{item}\n"), actor=LOADER)
    assert "check" in Checklist.objects.get(name="shop").spec["items"][0]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("{phase: before, text: a, check: {kind: set_image}}", "spec.items.0.check.kind: expected one of"),
        ("{phase: before, text: a, role: qa, check: {kind: pods_running}}", "it has no role and no kind"),
        ("{phase: before, text: a, check: {kind: verify_digests}}", "in the phase after only"),
        ("{phase: after, text: a, check: {kind: image_exists}}", "in the phase before only"),
        (
            "{phase: after, text: a, check: {kind: health, service: nobody}}",
            "There is no Service named nobody.",
        ),
        ("{phase: after, text: a, check: {kind: health, service: order-api}}", "how its health is asked"),
        ("{phase: after, text: a, check: {kind: health}}", "The field service is missing"),
        ("{phase: after, text: a, check: {kind: pods_running, port: 80}}", "Unknown field port"),
        ("{phase: after, text: a, check: {kind: headroom}}", "in the phase before only"),
        (
            "{phase: during, text: a, check: {kind: secret_hygiene, secrets: [{name: web}]}}",
            "in the phase before only",
        ),
        ("{phase: before, text: a, check: {kind: secret_hygiene}}", "The field secrets is missing"),
        ("{phase: before, text: a, check: {kind: headroom, lines: 5}}", "Unknown field lines"),
        ("{phase: after, text: a, check: {kind: log_pattern, forbid: [a]}}", "The field service is missing"),
        (
            "{phase: after, text: a, check: {kind: log_pattern, service: nobody, forbid: [a]}}",
            "There is no Service named nobody.",
        ),
        ("{phase: after, text: a, check: {kind: log_pattern, service: web}}", "forbid or require"),
        (
            "{phase: after, text: a, check: {kind: log_pattern, service: web, forbid: [a], colour: live}}",
            "Unknown field colour",
        ),
        (
            "{phase: after, text: a, check: {kind: certificate, minDays: 3}}",
            "either host, or service and port",
        ),
        (
            "{phase: after, text: a, check: {kind: pods_running, title: b}}",
            "this field has no meaning here",
        ),
        (
            "{phase: after, text: a, check: {kind: http, service: web}}",
            "either url, or service, port and path",
        ),
    ],
)
def test_an_item_that_measures_nothing_is_refused_with_its_line(folder: Folder, item: str, said: str) -> None:
    found = [str(each) for each in check(folder(f"{WITH_HEALTH}{HEAD}{item}\n"))]
    assert any(each.startswith("catalog.yaml:53: ") and said in each for each in found), found
