"""Links that sign a demo person in; they exist only where DEMO is on."""

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from portal.errors import NotFound
from portal.people.models import User

SALT = "portal.people.sign-in-link"


def sign_in_path(username: str) -> str:
    """The path of the page that signs this person in."""
    return reverse("sign_in_link", args=[Signer(salt=SALT).sign(username)])


def person_of_link(token: str) -> User:
    """Return the active person whom the link names.

    Raises:
        NotFound: this is no demo, the link is not ours, or the account is closed.
    """
    if settings.DEMO == "off":
        raise NotFound
    try:
        username = Signer(salt=SALT).unsign(token)
    except BadSignature as error:
        raise NotFound from error
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise NotFound
    return user
