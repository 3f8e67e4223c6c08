"""The whole portal as `make run` starts it, for people in real browsers, and kubectl beside it."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

from tests.chromium import window
from tests.embedded.whole import MANAGE, OURS, Portal, Report

NAMESPACE = "portal-universe"
DESKTOP = (1440, 1000)
PATIENCE_MS = 20_000
Json = dict[str, Any]


@dataclass
class Person:
    """Somebody with a browser of their own; complaints are what its console and its policy reported."""

    page: Page
    address: str
    name: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page of the portal."""
        self.page.goto(self.address + path)
        return self.page


@dataclass
class RealPortal:
    """A running portal, its demo report, and everybody who has come in."""

    process: Portal
    report: Report
    browser: Browser
    inside: dict[str, Person] = field(default_factory=dict)

    def enter(self, username: str) -> Person:
        """Sign a person in by the demo's link, in Korean; the second call gives the same browser back."""
        if username not in self.inside:
            self.inside[username] = self._enter(username)
        return self.inside[username]

    def ask(self, username: str, method: str, path: str, body: Json | None = None) -> Json:
        """Call the API as a person and return the JSON of the answer."""
        request = urllib.request.Request(
            f"{self.report['url']}/api/v1{path}",
            method=method,
            data=json.dumps(body or {}).encode() if method == "POST" else None,
            headers={
                "Authorization": f"Bearer {self._entry(username)['token']}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on this portal's data."""
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        environment |= {
            "PORTAL_DATA": str(self.process.data),
            "DATABASE_URL": self.report["database_url"],
            "REDIS_URL": self.report["redis_url"],
            "SECRET_KEY_FILE": str(self.process.data / "secret_key"),
        }
        command = [sys.executable, str(MANAGE), *words]
        return subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, timeout=60
        )

    def kubectl(self, *words: str) -> str:
        """Ask the cluster with the kubeconfig that the portal wrote."""
        command = ["kubectl", "--kubeconfig", self.report["kubeconfig"], "-n", NAMESPACE, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def complaints(self) -> dict[str, list[str]]:
        """What the browsers had to say since the last call, by person; empty when all is well."""
        found = {name: list(person.complaints) for name, person in self.inside.items() if person.complaints}
        for person in self.inside.values():
            person.complaints.clear()
        return found

    def _enter(self, username: str) -> Person:
        entry = self._entry(username)
        context = window(self.browser, *DESKTOP, locale="ko-KR")
        context.set_default_timeout(PATIENCE_MS)
        person = Person(page=context.new_page(), address=self.report["url"], name=entry["name"])
        person.page.on(
            "console",
            lambda said: person.complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
        person.page.goto(entry["login_url"])
        person.page.locator("main button").click()
        person.page.wait_for_url(f"{self.report['url']}/")
        return person

    def _entry(self, username: str) -> Json:
        return next(entry for entry in self.report["people"] if entry["username"] == username)


def has_kubectl() -> bool:
    """Whether kubectl is installed; in CI it must be."""
    found = shutil.which("kubectl") is not None
    assert found or not os.environ.get("CI"), "kubectl is missing, and nothing may be left out in CI"
    return found
