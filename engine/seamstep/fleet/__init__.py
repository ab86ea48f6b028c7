"""Many hosts: inventories, classes of hosts that are alike, their plans, and rollouts.

Of a rollout, ``settings`` holds the values, ``waves`` the order of hosts, ``state`` and ``messages`` what the core
works on, ``gates`` and ``rollout`` the core itself. ``ledger`` keeps its state on disk. docs/rollout.md states the
invariants.
"""
