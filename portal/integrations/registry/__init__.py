"""Image registries: what a tag means, and which tags there are."""
