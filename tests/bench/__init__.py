"""Benchmarks: what the portal costs in time and memory, against targets."""
