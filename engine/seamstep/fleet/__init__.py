"""Fleets: who may begin an update, when, and what stops it.

``settings`` holds the values of a rollout, ``waves`` the order of hosts, ``state`` and ``messages`` what the core
works on, ``gates`` and ``rollout`` the core itself. ``ledger`` keeps its state on disk. docs/rollout.md states the
invariants.
"""
