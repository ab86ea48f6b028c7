"""Formats that other programs read: JUnit, SARIF, Prometheus. May import ``show`` and the layers below it."""
