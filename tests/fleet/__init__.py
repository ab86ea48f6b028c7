"""The lab of fifty hosts (docs/fleet-lab.md), and rollouts that a real engine runs on it."""
