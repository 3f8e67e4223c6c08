"""The pages of a release: they parse, look up, call one operation or query, and answer."""
