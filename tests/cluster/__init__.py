"""Tests on a Kubernetes API: the contract of the practice cluster with a real control plane."""
