"""The web process: pages and the API over HTTP, live progress over WebSocket."""

import os

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from portal.serving import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
http = Handler()

# Consumers load models, which exist only once Django is set up.
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from channels.sessions import CookieMiddleware  # noqa: E402

from portal.live.consumer import LiveConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            CookieMiddleware(URLRouter([path("ws/live", LiveConsumer.as_asgi())]))
        ),
    }
)
