"""The practice cluster: a small Kubernetes API with controllers, pods, a registry and applications."""
