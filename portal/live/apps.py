"""The live app."""

from django.apps import AppConfig


class LiveConfig(AppConfig):
    """Events to browsers."""

    name = "portal.live"
    label = "live"

    def ready(self) -> None:
        """Let everybody follow their own inbox."""
        from portal.live import topics  # noqa: PLC0415  models are not loaded before

        topics.register(
            "inbox",
            readers=lambda users, key: [user for user in users if key in {"", str(user.pk)}],
            resolve=lambda user, _key: f"inbox.{user.pk}",
        )
