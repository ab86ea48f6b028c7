"""Formats that other programs read: JUnit, SARIF, Prometheus. May import ``show`` and what stands before it."""
