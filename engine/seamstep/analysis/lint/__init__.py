"""The linter of mapping files and catalogs.

It holds no compatibility check of its own: the rules and the graph that plans are made with are asked about the steps
that a file implies, and what they answer becomes findings.
"""
