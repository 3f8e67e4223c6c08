"""Joins the apps' addresses; nothing is decided here."""

from django.urls import include, path

from portal.api import probes
from portal.api.v1 import make_api
from portal.delegations import api as delegations_api
from releases import api as releases_api
from releases import calendar_api
from releases.catalog import api as catalog_api
from releases.catalog.policies import api as policies_api
from releases.incidents import api as incidents_api
from releases.pipeline import api as pipeline_api
from releases.rollouts import api as rollouts_api
from releases.rollouts import service_api, system_api
from releases.rollouts.findings import api as findings_api
from releases.rollouts.rhythm import api as rhythm_api
from releases.schedules import api as schedules_api

api = make_api()
api.add_router("", delegations_api.router)
api.add_router("", catalog_api.router)
api.add_router("", policies_api.router)
api.add_router("", releases_api.router)
api.add_router("", rollouts_api.router)
api.add_router("", service_api.router)
api.add_router("", system_api.router)
api.add_router("", findings_api.router)
api.add_router("", rhythm_api.router)
api.add_router("", calendar_api.router)
api.add_router("", schedules_api.router)
api.add_router("", incidents_api.router)
api.add_router("", pipeline_api.router)

urlpatterns = [
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", probes.metrics, name="metrics"),
    path("api/v1/", api.urls),
    path("", include("portal.people.account_urls")),
    path("", include("portal.people.urls")),
    path("", include("portal.notices.urls")),
    path("", include("portal.delegations.urls")),
    path("", include("portal.administration.urls")),
    path("", include("portal.audit.urls")),
    path("releases/", include("releases.urls")),
    path("policy/", include("releases.catalog.policies.urls")),
    path("calendar/", include("releases.calendar_urls")),
    path("catalog/", include("releases.catalog.urls")),
    path("incidents/", include("releases.incidents.urls")),
    path("pipeline/", include("releases.pipeline.urls")),
    path("", include("releases.rollouts.front_urls")),
    path("", include("releases.rollouts.urls")),
    path("", include("releases.schedules.urls")),
]

handler400 = "portal.errors_view.bad_request"
handler404 = "portal.errors_view.not_found"
handler429 = "portal.errors_view.too_often"  # allauth's name for it
handler500 = "portal.errors_view.server_error"
