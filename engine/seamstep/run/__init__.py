"""Performing plans, and the record of runs: executor, journal, lock, commands, recovery, transaction, status.

The package may import ``host`` and the layers below it, never ``policy``, ``planning`` or ``analysis``: a plan document
holds everything that its execution needs.
"""
