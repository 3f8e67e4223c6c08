"""Argo: canaries of Argo Rollouts, and what Argo CD owns, through the Kubernetes API."""
