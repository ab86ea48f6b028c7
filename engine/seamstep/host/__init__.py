"""Hosts: where facts are read and updates performed."""
