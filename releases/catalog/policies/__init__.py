"""The policy's doors: reading it, proposing and signing a change, and who could approve what."""
