"""Installs the Gateway API's definition of HTTPRoutes, out of its Go module, in a real control plane."""

import json
from pathlib import Path

import yaml

from tests.cluster.api import Api
from tests.cluster.controlplane.build import MODULE_FOLDER, run_go
from tests.cluster.objects import wait_for

MODULE, VERSION = "sigs.k8s.io/gateway-api", "v1.4.0"
FILE = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVED = "apis/gateway.networking.k8s.io/v1/httproutes"


def install(admin: Api) -> None:
    """Install the definition and wait until the routes are served.

    Raises:
        BuildError: Go is missing, or the module cannot be had.
    """
    answer = json.loads(run_go(MODULE_FOLDER, "mod", "download", "-json", f"{MODULE}@{VERSION}"))
    admin.create(DEFINITIONS, yaml.safe_load((Path(answer["Dir"]) / FILE).read_text()))
    wait_for(lambda: admin.ask("GET", SERVED).code == 200, what="the HTTPRoutes to be served")
