"""What commands take from the configuration of the host: the inputs that their options do not name, and its hold.

Nothing of the configuration is imported unless there is one, or a command asks for its defaults.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from seamstep.base import places

if TYPE_CHECKING:
    from seamstep.run.hold import Hold
    from seamstep.service.configuration import Configuration


def configuration_of(options: argparse.Namespace, *, trusted: bool, needed: bool = False) -> Configuration | None:
    """The configuration of the host that seamstep runs on, or that ``--config`` names; None if there is no file, unless
    it is ``needed``: then one with the defaults. Raises as :func:`configure`."""
    if options.read_configuration:
        return cast("Configuration", options.read_configuration)
    if not (needed or options.configuration or os.path.lexists(places.CONFIG)):
        if trusted and os.path.isdir(os.path.dirname(places.CONFIG)):
            from seamstep.service.configuration import load

            load(trusted=True)  # another user may have taken the file away
        return None
    from seamstep.service.configuration import load

    options.read_configuration = load(options.configuration, trusted=trusted)
    return cast("Configuration", options.read_configuration)


def held(folder: str, config: str | None = None) -> Hold | None:
    """The hold in the state folder ``folder``, in the configuration ``config`` if one is named, or in that of this
    host, which holds whatever is named; None if there is none."""
    if not (config or os.path.lexists(places.CONFIG)):
        from seamstep.run import hold

        return hold.read(folder)
    from seamstep.service.configuration import held as held_by_either

    return held_by_either(folder, config) or (held_by_either(folder) if config else None)


def configure(options: argparse.Namespace, *, trusted: bool = False, needed: bool = False) -> Configuration | None:
    """Let the configuration name the catalog, the policies and the TCB Info that the options don't, and tell so on
    standard error.

    It does so for the host that seamstep runs on. Facts from a file, or of a kind of host, are of another host, so they
    are judged by what the options name alone, unless ``--config`` names a configuration.

    Args:
        options: the options; what is taken from the configuration is entered there.
        trusted: see :func:`seamstep.service.configuration.load`.
        needed: see :func:`configuration_of`.

    Returns:
        The configuration; None if there is none.

    Raises:
        InputError, RefusedError: as :func:`seamstep.service.configuration.load`.
    """
    if not options.configuration and any(getattr(options, name, None) for name in ("facts", "platform")):
        return None
    config = configuration_of(options, trusted=trusted, needed=needed)
    if not (options.mapping or options.images or options.catalog):
        folder = config.catalog if config else places.CATALOG
        said = config is not None and config.says("catalog")
        if said or os.path.isdir(folder):
            options.catalog = folder
            _tell_of_configuration("catalog", [folder], config if said else None)
    if config and config.says("policies") and not getattr(options, "policy", True):
        options.policy = list(config.policies)
        _tell_of_configuration("policies", config.policies, config)
    if config and config.tcb_info and not getattr(options, "tcb_info", True):
        options.tcb_info, options.tcb_configured = [config.tcb_info], True
        _tell_of_configuration("TCB Info", [config.tcb_info], config)
    return config


def _tell_of_configuration(what: str, values: Sequence[str], config: Configuration | None) -> None:
    """Print on standard error what the configuration named; without one, the default."""
    import sys

    from seamstep.show.text import printable

    origin = f"from {config.file}" if config else "the default"
    print(f"seamstep: note: {what} {printable(', '.join(values))} ({printable(origin)})", file=sys.stderr)
