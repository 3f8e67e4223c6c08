"""A real Kubernetes control plane with simulated nodes, built from Go modules and started on loopback."""
