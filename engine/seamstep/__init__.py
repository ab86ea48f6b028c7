"""seamstep plans and performs Intel TDX module runtime updates on Linux."""

__version__ = "0.1.0"
