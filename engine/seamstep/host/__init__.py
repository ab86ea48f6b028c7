"""Hosts: the interface, the real and the simulated host, reading facts, and the upload node."""
