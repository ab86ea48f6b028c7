"""``seamstep apply --configured``: a run of the service, by the configuration alone; sends its notification."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from seamstep.base.errors import ExitCode, InputError, Problem, SeamstepError
from seamstep.cli import options as shared
from seamstep.service.notifying import End, notify
from seamstep.show.text import printable

if TYPE_CHECKING:
    from seamstep.cli.apply import Ended
    from seamstep.run.executor import RunResult
    from seamstep.run.transaction import Transaction
    from seamstep.service.configuration import Configuration, Notification

#: Options whose part the configuration takes.
_TAKEN = (
    *("plan", "mapping", "images", "catalog", "policy", "target", "as_of", "tcb_info", "max_hops", "approved"),
    "simulate",
)


def require_configured_alone(options: argparse.Namespace) -> None:
    """Raise InputError if an option names what ``--configured`` takes from the configuration."""
    named = [name for name in _TAKEN if getattr(options, name)]
    if named:
        given = ", ".join("PLAN" if name == "plan" else f"--{name.replace('_', '-')}" for name in named)
        raise InputError(Problem("--configured", f"goes by the configuration alone; leave {given} out"))


def as_service(
    options: argparse.Namespace,
    config: Configuration,
    run: Callable[[argparse.Namespace, Configuration | None, Ended], ExitCode],
) -> ExitCode:
    """Run ``run`` with the configuration, and tell of its end, also if it raises an error."""
    from seamstep.service import old_settings

    end: End | None = None

    def ended(code: ExitCode, message: str, result: RunResult | None, begun: Transaction) -> None:
        nonlocal end
        end = End(
            exit_code=code,
            message=message,
            applied=len(result.applied) if result else 0,
            version=str(result.version or "") if result else "",
            transaction=begun.journal.transaction if begun.journal else "",
        )

    try:
        old_settings.must_agree(f"/{old_settings.NAME}", config)
        options.max_hops = config.max_hops
        return run(options, config, ended)
    except SeamstepError as error:
        end = end or End(error.exit_code, str(error))
        raise
    except KeyboardInterrupt:
        end = end or End(ExitCode.INTERRUPTED, "interrupted")
        raise
    except Exception as error:
        end = end or End(ExitCode.INTERNAL, f"internal error: {error}")
        raise
    finally:
        if config.notification and end and not options.dry_run:
            with contextlib.suppress(Exception):  # the result stands, whatever becomes of telling it
                _tell(config.notification, end._replace(boot_id=_boot_id(options)), shared.state_folder(options))


def _tell(wanted: Notification, end: End, folder: str) -> None:
    """Send the notification; signals wait until it is sent, or end it."""
    from seamstep.run.executor.signals import deferred_signals

    with deferred_signals() as interrupted:
        problem = notify(wanted, end, folder, lambda: bool(interrupted))
        if problem:
            print(f"seamstep: note: {printable(problem)}", file=sys.stderr)


def _boot_id(options: argparse.Namespace) -> str:
    """The present boot; empty if it is not known."""
    from seamstep.host.base import BOOT_ID

    try:
        return shared.sysfs_host(options).read(BOOT_ID, 100).decode("ascii", "replace").strip()
    except (OSError, SeamstepError):
        return ""
