"""Findings: what runs and was approved by nobody, from when it is seen until somebody has settled it."""
