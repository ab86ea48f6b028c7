"""Many hosts: inventories, classes of hosts that are alike, their plans, and rollouts."""
