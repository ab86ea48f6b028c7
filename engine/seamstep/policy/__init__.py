"""A policy: its values, its file, and the layers that several policies make. May import ``rules`` and what stands
before it.
"""
