"""The real controller of Argo Rollouts, for the tests that need it."""
