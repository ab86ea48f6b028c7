"""What performs a plan and remembers it: executor, journal, lock, commands, recovery, transaction, status. May import
``host`` and what stands before it, but never ``policy``, ``planning`` or ``analysis``: a plan says all that it
needs.
"""
