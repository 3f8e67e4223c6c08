"""Messages that must leave after commit, with retries: never lost, sent once per key."""
