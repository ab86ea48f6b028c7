"""Policies: their values, their files, and the merging of several. May import ``rules`` and the packages before it in
docs/architecture.md.
"""
