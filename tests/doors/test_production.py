"""docs/production.md and deploy/account.yaml tell whoever runs the portal what the code reads and needs."""

import re
from itertools import product
from pathlib import Path

import yaml

from portal.integrations.kubernetes.client import Right
from portal.urls import api
from releases.rollouts.cluster_rights import NEEDED, TOO_MUCH, USEFUL
from releases.rollouts.doctor import OLDEST_POSTGRES
from releases.rollouts.steps.access_check import OF_KINDS, READS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "production.md"
PART = re.compile(r"[a-z-]+(?![^{]*})")
READ = re.compile(r"\benv\.[a-z_]+\(\s*\"([A-Z_]+)\"")


def read_variables() -> set[str]:
    """The names of all variables that the code reads."""
    files = [path for app in ("portal", "releases", "approvals") for path in (REPOSITORY / app).rglob("*.py")]
    return {name for path in files for name in READ.findall(path.read_text())}


def parts_of_the_api() -> set[str]:
    """Every word in an address of the API."""
    return {word for path in api.get_openapi_schema()["paths"] for word in PART.findall(path)} - {"api"}


def granted() -> set[Right]:
    """Every right of the account in deploy/."""
    _account, role = yaml.safe_load_all((REPOSITORY / "deploy" / "account.yaml").read_text())
    return {
        Right(verb=verb, resource=resource, group=group, subresource=subresource)
        for rule in role["rules"]
        for group, name, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"])
        for resource, _slash, subresource in [name.partition("/")]
    }


def test_every_variable_that_is_read_is_on_the_page() -> None:
    read = read_variables()
    assert {"DATABASE_URL", "LEASE_SECONDS"} <= read
    assert {name for name in read if f"`{name}`" not in PAGE.read_text()} == set()


def test_every_address_of_the_api_is_on_the_page() -> None:
    words = parts_of_the_api()
    assert {"arrivals", "put-back"} <= words
    said = set(re.findall(r"[a-z-]+", PAGE.read_text().split("## The API")[1]))
    assert words - said == set()


def test_the_oldest_server_is_the_one_that_the_doctor_lets_pass() -> None:
    for page in ("production.md", "decisions/0001-one-database.md"):
        text = (REPOSITORY / "docs" / page).read_text()
        assert re.findall(r"PostgreSQL (\d+) or newer", text) == [str(OLDEST_POSTGRES)]


def test_the_account_may_do_what_is_needed_and_nothing_that_is_not() -> None:
    asked = {*NEEDED, *READS, *(right for rights in OF_KINDS.values() for right in rights)}
    assert asked - granted() == set()
    assert granted() <= {*NEEDED, *USEFUL}
    assert granted().isdisjoint(TOO_MUCH)
