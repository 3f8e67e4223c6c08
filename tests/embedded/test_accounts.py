"""Secrets of the embedded portal are made once and are nobody else's to read."""

import stat
from pathlib import Path

from portal import env
from portal.embedded import accounts


def test_the_key_of_the_record_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = accounts.kept_key(tmp_path / "audit_key")
    made = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert env.signing_key("AUDIT_KEY", made)
    assert accounts.kept_key(file).read_text() == made
