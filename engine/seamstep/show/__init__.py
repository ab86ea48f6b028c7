"""Output: plain text, terminal screens, JUnit, SARIF and Prometheus formats, pictures and HTML pages.

Renders results and decides nothing. May import ``run`` and the layers below it.
"""
