"""What asks the graph about many hosts or changes: lint, diff, policy review, scenarios, inventories. May import
``planning`` and what stands before it.
"""
