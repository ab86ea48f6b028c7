"""``python -m seamstep``."""

from seamstep.cli import entry

if __name__ == "__main__":
    entry()
