"""The suite; it mirrors the apps."""
