"""The parts of an image's name, as container runtimes read it."""

from dataclasses import dataclass

DEFAULT_HOST = "docker.io"


@dataclass(frozen=True)
class Image:
    """A reference taken apart; tag and digest may be empty."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Host and repository: the image in every version."""
        return f"{self.host}/{self.repository}"


def parse_image(text: str) -> Image:
    """Take a reference such as "registry:5000/shop/web:1.2@sha256:…" apart."""
    rest, _at, digest = text.partition("@")
    head, slash, tail = rest.rpartition("/")
    last, _colon, tag = tail.partition(":")
    path = f"{head}{slash}{last}"
    host, slash, repository = path.partition("/")
    # Without a dot, a port or "localhost" the first part is no host but part of Docker Hub's path.
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, repository = DEFAULT_HOST, path if slash else f"library/{path}"
    return Image(host, repository, tag, digest)
