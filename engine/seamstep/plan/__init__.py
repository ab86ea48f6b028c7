"""The plan document, with apply settings, windows and measurements: the contract between planner and executor. May
import ``policy`` and the packages before it in docs/architecture.md.
"""
