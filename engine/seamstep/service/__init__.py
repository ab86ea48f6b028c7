"""The systemd units that ship with seamstep, and their installation, with the host's configuration.

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

UNITS = (
    "seamstep.service",
    "seamstep.timer",
    "seamstep-look.service",
    "seamstep-metrics.service",
    "seamstep-metrics.timer",
)
CONFIG = "etc/seamstep/config.yaml"
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
    CARRIED = "written, with the settings of etc/seamstep/seamstep.env, which is not read any more"
    UNCHANGED = "unchanged"
    KEPT = "kept, it is yours"


class State(StrEnum):
    """How the text of an installed unit compares with that of this version."""

    CURRENT = "current"
    OTHER_VERSION = "other-version"
    CHANGED = "changed"


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
    if is_unseen(command):
        message = f"{command} can't be run by the service, which does not see /home, /root and /tmp; install seamstep "
        raise InputError(Problem("--exec", f"{message}elsewhere, such as in a virtual environment below /opt"))
    return _resource(name).replace(_PLACEHOLDER, command)


def is_unseen(path: str) -> bool:
    """Whether the sandbox hides ``path`` from the service."""
    return f"{path}/".startswith(_UNSEEN)


def compared(name: str, text: str) -> tuple[State, str]:
    """How the ``text`` of the installed unit ``name`` compares with that of this version, and the seamstep command that
    it runs (empty if it runs none, or the text is another). A package may leave the digest out."""
    first, _, rest = text.partition("\n")
    bare = rest if first.startswith(_MARK) else text
    template = re.escape(_resource(name)).replace(re.escape(_PLACEHOLDER), f"(?P<command>{_PLAIN.pattern})", 1)
    match = re.fullmatch(template, bare, re.ASCII)
    if match and (bare is text or is_ours(text)):
        return State.CURRENT, match.groupdict().get("command") or ""
    return State.OTHER_VERSION if is_ours(text) else State.CHANGED, ""


def default_config() -> str:
    """The text of the configuration that ships with seamstep, which leaves every key at its default."""
    return _resource("config.yaml")


def install(root: Path, command: str, *, force: bool = False) -> list[Installed]:
    """Write the units below ``root``, and the configuration if it does not exist, with the settings of earlier versions
    if there are any. All checks precede the first write.

    With root "/" the units are written to /etc/systemd/system, the folder of the machine's administrator. With another
    root they are written to usr/lib/systemd/system, the folder of packages and images, which /etc overrides.

    Args:
        root: the root folder of the machine or image.
        command: the absolute path of the seamstep command on that machine.
        force: whether to replace units that were changed by hand.

    Raises:
        InputError: ``root`` is not a folder, the service can't run ``command``, a file can't be written, or settings of
            earlier versions can't be carried over.
        RefusedError: a unit was changed by hand and ``force`` is false, a path is a symbolic link, or
            leads out of ``root`` by one.
    """
    if not root.is_dir():
        raise InputError(Problem("--root", f"{root} is not a folder"))
    folder = root / (_LOCAL if root.resolve() == Path("/") else _VENDOR)
    if folder == root / _LOCAL and not (os.access(command, os.X_OK) and Path(command).is_file()):
        raise InputError(Problem("--exec", f"{command} is no program on this machine"))
    wanted = {folder / name: signed(unit(name, command)) for name in UNITS}
    _refuse_links([path for path in (*wanted, root / CONFIG) if path.is_symlink()])
    _refuse_escapes(root, (folder, (root / CONFIG).parent))
    before = {path: present(path) for path in wanted}
    changed = [path for path, text in before.items() if text not in {None, wanted[path]} and not is_ours(text or "")]
    if changed and not force:
        names = ", ".join(map(str, changed))
        raise RefusedError(f"changed by hand, so left alone, and nothing was written: {names}; give --force to replace")
    configured = root / CONFIG
    text = None if present(configured) is not None else _first_config(root)
    done = [_write(path, text, before[path]) for path, text in wanted.items()]
    if text is None:
        return [*done, Installed(configured, Fate.KEPT)]
    written = _write(configured, text, None)
    return [*done, written if text == default_config() else written._replace(fate=Fate.CARRIED)]


def _first_config(root: Path) -> str:
    """The text of a configuration where there is none: all defaults, or the settings of earlier versions. Raises
    InputError if some of those can't be carried over."""
    from seamstep.base.rooted import below
    from seamstep.service import old_settings

    old = old_settings.load(below(str(root), f"/{old_settings.NAME}"))
    if old is None:
        return default_config()
    if old.unfit:
        message = "see to these, or remove the file, and install again; nothing was written"
        raise InputError([*old.unfit, Problem(old.file, message)])
    carried = "\n".join(["# Carried over from /etc/seamstep/seamstep.env:", *old.lines()])
    return f"{default_config()}\n{carried}\n"


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


def _write(path: Path, text: str, before: str | None) -> Installed:
    if before == text:
        return Installed(path, Fate.UNCHANGED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(path.parent), f"can't make this folder: {error.strerror}")) from None
    write_atomic(path, text.encode(), replace=True, mode=0o644)
    return Installed(path, Fate.WRITTEN)


def present(path: Path) -> str | None:
    """The file's text; None if the file does not exist. Raises InputError if it can't be read."""
    try:
        if not path.stat().st_size:
            return ""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(Problem(str(path), f"can't read the unit: {error.strerror}")) from None
    return read_regular(str(path), _SIZE_MAX, "unit").decode("utf-8", "replace")


def signed(text: str) -> str:
    """The text of a unit as it is installed: below the digest of its text."""
    return f"{_MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_ours(text: str) -> bool:
    """Whether ``text`` is a unit as a version of seamstep wrote it, unchanged since."""
    first, _, rest = text.partition("\n")
    return first.startswith(_MARK) and signed(rest) == text


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
