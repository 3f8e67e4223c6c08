"""Who the embedded servers run as, and how they reach their files.

PostgreSQL refuses to run as root, so a start by root hands it to an account without rights.
"""

import os
import pwd
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

UNPRIVILEGED = "nobody"


def server_account() -> str | None:
    """Return the account for servers when this process is root, else None: stay who we are."""
    return UNPRIVILEGED if os.geteuid() == 0 else None


def server_group() -> int | None:
    """Return the group that goes with the servers' account."""
    name = server_account()
    return None if name is None else pwd.getpwnam(name).pw_gid


def hand_over(path: Path) -> None:
    """Give the file or folder to the servers' account, when there is one."""
    name = server_account()
    if name is None:
        return
    account = pwd.getpwnam(name)
    os.chown(path, account.pw_uid, account.pw_gid)


def make_reachable(path: Path) -> None:
    """Let the servers' account pass through the folders above the path; it does not get to list them."""
    if server_account() is None:
        return
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def make_readable(tree: Path) -> None:
    """Let the servers' account read installed programs, whatever umask they were installed with."""
    if server_account() is None:
        return
    make_reachable(tree / "any")
    for path in tree.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)


def make_folder(path: Path) -> None:
    """Make a folder that others may pass through (when a server must) but not list."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o711 if server_account() else 0o700)


def kept_secret(path: Path) -> str:
    """Return the secret in the file (mode 0600), making one at the first call."""
    if not path.exists():
        _keep(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def kept_key(path: Path) -> Path:
    """Return the file of an Ed25519 key (mode 0600), making one at the first call."""
    if not path.exists():
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _keep(path, Ed25519PrivateKey.generate().private_bytes(*form).decode())
    return path


def _keep(path: Path, text: str) -> None:
    """Write the file in one move: one that a full disk cut short would be taken for the secret."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
