"""The systemd units that ship with seamstep, and their installation.

Each installed unit carries the digest of its own text, so a unit that was changed by hand is recognized without a
separate record. docs/service.md describes the units, docs/adr/0013-service.md the reasons for their settings.
"""

from __future__ import annotations

import hashlib
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from seamstep.base.documents import read_regular
from seamstep.base.errors import InputError, Problem, RefusedError
from seamstep.base.writing import write_atomic

UNITS = ("seamstep.service", "seamstep.timer", "seamstep-metrics.service", "seamstep-metrics.timer")
SETTINGS = "etc/seamstep/seamstep.env"
_LOCAL, _VENDOR = "etc/systemd/system", "usr/lib/systemd/system"
_PLACEHOLDER = "@SEAMSTEP@"
_MARK = "# Written by seamstep service install; what you change belongs in a drop-in (systemctl edit). sha256: "
_SIZE_MAX = 1 << 20
# Paths that need no quoting in ExecStart= and contain no specifiers.
_PLAIN = re.compile(r"/[A-Za-z0-9_./+@-]*[A-Za-z0-9_+-]", re.ASCII)
_UNSEEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - ProtectHome= and PrivateTmp= hide them


class Fate(StrEnum):
    """The effect of an installation on one file; the value is its text for users."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept, it is yours"


class Installed(NamedTuple):
    """One file of an installation.

    Attributes:
        path: the file.
        fate: the effect on it.
    """

    path: Path
    fate: Fate


def unit(name: str, command: str) -> str:
    """The text of a unit.

    Args:
        name: one of :data:`UNITS`.
        command: the absolute path of the seamstep command.

    Raises:
        InputError: ``command`` is not a path that the sandboxed service can run.
    """
    if not _PLAIN.fullmatch(command) or ".." in command.split("/"):
        message = f"{command!r} must be an absolute path of plain characters (letters, digits and _ . / + @ -)"
        raise InputError(Problem("--exec", message))
    if command.startswith(_UNSEEN):
        message = f"{command} can't be run by the service, which does not see /home, /root and /tmp; install seamstep "
        raise InputError(Problem("--exec", f"{message}elsewhere, such as in a virtual environment below /opt"))
    return _resource(name).replace(_PLACEHOLDER, command)


def settings() -> str:
    """The text of the settings file that ships with seamstep."""
    return _resource("seamstep.env")


def install(root: Path, command: str, *, force: bool = False) -> list[Installed]:
    """Write the units below ``root``, and the settings file if it does not exist. All checks precede the first write.

    With root "/" the units are written to /etc/systemd/system, the folder of the machine's administrator. With another
    root they are written to usr/lib/systemd/system, the folder of packages and images, which /etc overrides.

    Args:
        root: the root folder of the machine or image.
        command: the absolute path of the seamstep command on that machine.
        force: whether to replace units that were changed by hand.

    Raises:
        InputError: ``root`` is not a folder, the service can't run ``command``, or a file can't be written.
        RefusedError: a unit was changed by hand and ``force`` is false, a path is a symbolic link, or
            leads out of ``root`` by one.
    """
    if not root.is_dir():
        raise InputError(Problem("--root", f"{root} is not a folder"))
    folder = root / (_LOCAL if root.resolve() == Path("/") else _VENDOR)
    if folder == root / _LOCAL and not (os.access(command, os.X_OK) and Path(command).is_file()):
        raise InputError(Problem("--exec", f"{command} is no program on this machine"))
    wanted = {folder / name: _signed(unit(name, command)) for name in UNITS}
    _refuse_links([path for path in (*wanted, root / SETTINGS) if path.is_symlink()])
    _refuse_escapes(root, (folder, (root / SETTINGS).parent))
    present = {path: _present(path) for path in wanted}
    changed = [path for path, text in present.items() if text not in {None, wanted[path]} and not _is_ours(text or "")]
    if changed and not force:
        names = ", ".join(map(str, changed))
        raise RefusedError(f"changed by hand, so left alone, and nothing was written: {names}; give --force to replace")
    done = [_write(path, text, present[path]) for path, text in wanted.items()]
    configured = root / SETTINGS
    if _present(configured) is not None:
        return [*done, Installed(configured, Fate.KEPT)]
    return [*done, _write(configured, settings(), None)]


def _refuse_links(links: list[Path]) -> None:
    """Raise RefusedError if there are links. A link may point outside ``root``, and an administrator made it, such as
    with ``systemctl mask``."""
    if links:
        names = ", ".join(f"{link} -> {link.readlink()}" for link in links)
        raise RefusedError(f"symbolic links are left alone, and nothing was written: {names}; remove them first")


def _refuse_escapes(root: Path, folders: tuple[Path, ...]) -> None:
    """Raise RefusedError if a link on the way to a folder leads out of ``root``: an absolute link in an image means a
    folder of the image, and would be followed to one of this machine."""
    for folder in folders:
        if not folder.resolve().is_relative_to(root.resolve()):
            raise RefusedError(f"{folder} leads out of {root} by a symbolic link, and nothing was written")


def _write(path: Path, text: str, present: str | None) -> Installed:
    if present == text:
        return Installed(path, Fate.UNCHANGED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(path.parent), f"can't make this folder: {error.strerror}")) from None
    write_atomic(path, text.encode(), replace=True, mode=0o644)
    return Installed(path, Fate.WRITTEN)


def _present(path: Path) -> str | None:
    """The file's text; None if the file does not exist."""
    try:
        if not path.stat().st_size:
            return ""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(Problem(str(path), f"can't read the unit: {error.strerror}")) from None
    return read_regular(str(path), _SIZE_MAX, "unit").decode("utf-8", "replace")


def _signed(text: str) -> str:
    return f"{_MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _is_ours(text: str) -> bool:
    """Whether ``text`` is a unit as a version of seamstep wrote it, unchanged since."""
    first, _, rest = text.partition("\n")
    return first.startswith(_MARK) and _signed(rest) == text


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
