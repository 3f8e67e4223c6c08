"""May this exact content go out? Requirements, decisions and their matching."""
