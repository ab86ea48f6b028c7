"""Options that several commands share, and the reading of the inputs that they name."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from seamstep.base import places
from seamstep.base.errors import InputError, NotUpdatableError, Problem, TdxLostError
from seamstep.cli import configuration, notes
from seamstep.domain import facts as facts_document
from seamstep.domain.facts import HostFacts

if TYPE_CHECKING:
    from seamstep.domain.tcb import TcbView
    from seamstep.host.base import Host
    from seamstep.image.catalog import Catalog
    from seamstep.plan.at_hand import AtHand
    from seamstep.policy.policy import Policy, Target

STATE_FOLDER = "/var/lib/seamstep"


def given(text: str) -> str:
    """The type of an option's value. An empty value is an error: it comes from a shell variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("the value is empty")
    return text


def check_output(options: argparse.Namespace) -> None:
    """Check that the file of ``-o`` can be written, before the work begins.

    Raises:
        RefusedError: the file exists and ``--force`` is not given, or it is not a regular file.
        InputError: its folder does not exist, or the path can't be examined.
    """
    if options.output:
        from pathlib import Path

        from seamstep.base.writing import check_writable

        check_writable(Path(options.output), replace=options.force)


def sysfs_host(options: argparse.Namespace) -> Host:
    """The host below ``--sysroot``. Raises InputError if there is no such folder."""
    import os

    from seamstep.host.bounded import BoundedHost
    from seamstep.host.sysfs import SysfsHost

    if not os.path.isdir(options.sysroot):  # unlike Path.is_dir, never raises
        raise InputError(Problem("--sysroot", f"{options.sysroot} is not a folder"))
    return BoundedHost(SysfsHost(options.sysroot))


def add_output(parser: argparse.ArgumentParser) -> None:
    """``--json``, ``-o`` and ``--force``."""
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.add_argument("-o", "--output", metavar="FILE", type=given, help="write the JSON document to FILE as well")
    parser.add_argument("--force", action="store_true", help="let -o overwrite FILE")


def add_destination(parser: argparse.ArgumentParser) -> None:
    """``-o`` and ``--force`` of commands whose whole output may go to a file; see :func:`output.deliver`."""
    text = "write to FILE instead of standard output"
    parser.add_argument("-o", "--output", metavar="FILE", type=given, help=text)
    parser.add_argument("--force", action="store_true", help="let -o overwrite FILE")


def add_sysroot(parser: argparse.ArgumentParser) -> None:
    """``--sysroot``."""
    parser.add_argument("--sysroot", metavar="DIR", type=given, default="/", help="the host's files are below DIR")


def is_real(options: argparse.Namespace) -> bool:
    """Whether ``--sysroot`` is the root of this very host."""
    import os

    return os.path.realpath(str(options.sysroot)) == "/"


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """``--state-dir``."""
    text = "where the journal and the lock are (default: $STATE_DIRECTORY, or /var/lib/seamstep below --sysroot)"
    parser.add_argument("--state-dir", metavar="DIR", type=given, help=text)


def state_folder(options: argparse.Namespace) -> str:
    """The state folder: ``--state-dir``; else on this very host the first of ``$STATE_DIRECTORY`` (systemd.exec(5));
    else /var/lib/seamstep, below ``--sysroot``."""
    import os

    if options.state_dir:
        return str(options.state_dir)
    if is_real(options):
        return os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or STATE_FOLDER
    return f"{options.sysroot}{STATE_FOLDER}"


def count(text: str) -> int:
    """The type of an option with a number: a whole number from 1 on."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def add_catalog(parser: argparse._ActionsContainer) -> None:
    """``--mapping``, ``--images`` and ``--catalog``."""
    parser.add_argument("--mapping", metavar="FILE", type=given, help="Intel's mapping_file.json, or one of its form")
    parser.add_argument(
        "--images", metavar="DIR", type=given, help="folder with tdx_module_<version>.blob files, at any depth"
    )
    parser.add_argument(
        "--catalog", metavar="DIR", type=given, help="a folder with both: mapping_file.json, and images below it"
    )


def add_policy(parser: argparse._ActionsContainer) -> None:
    """``--policy`` and ``--as-of``."""
    text = f"the policy to go by (default: {places.POLICY}); given several times, all have to be satisfied"
    parser.add_argument("--policy", metavar="NAME|FILE", type=given, action="append", help=text)
    parser.add_argument(
        "--as-of", metavar="DAY", type=given, help="judge what has expired as of this day (default: today, UTC)"
    )


def add_planning(parser: argparse.ArgumentParser) -> None:
    """The options for the inputs of a plan."""
    from seamstep.cli import tcb_options

    group = parser.add_argument_group("what the plan is made from")
    add_catalog(group)
    add_policy(group)
    add_signer(group)
    tcb_options.add(group)
    group.add_argument(
        "--target",
        metavar="TARGET",
        type=given,
        help="newest, a version, a specifier or 'closes ADVISORY', instead of the policy's",
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config``; see :mod:`seamstep.cli.configuration`."""
    parser.set_defaults(read_configuration=None)
    text = f"the configuration that names what the options don't (default: {places.CONFIG}, for facts of this host)"
    parser.add_argument("--config", metavar="FILE", dest="configuration", type=given, help=text)


def add_signer(parser: argparse._ActionsContainer) -> None:
    """``--signer``."""
    parser.add_argument(
        "--signer",
        metavar="SHA256",
        action="append",
        default=[],
        help="trust images signed by this key too, on simulated hosts: the SHA-256 of its modulus (may be given several"
        " times)",
    )


def signers(options: argparse.Namespace) -> frozenset[str]:
    """The fingerprints from ``--signer``. Raises InputError for a malformed one."""
    for signer in options.signer:
        if not re.fullmatch(r"[0-9a-f]{64}", signer):
            raise InputError(Problem("--signer", f"{signer!r} is not a SHA-256 in 64 lower-case hex digits"))
    return frozenset(options.signer)


def host_facts(options: argparse.Namespace) -> HostFacts:
    """The facts from ``--facts``, or of this host.

    Raises:
        InputError: the facts file is unreadable, invalid, or lacks the running version.
        TdxLostError: TDX is lost on the host.
        NotUpdatableError: the running module's version is not known, as where no TDX module runs.
    """
    from seamstep.host.read_facts import read_facts

    path = getattr(options, "facts", None)
    facts = facts_document.load(path) if path else read_facts(sysfs_host(options))
    if facts.module_version is not None:
        return facts
    reason = facts.why_unknown("module_version")
    if reason.startswith("ENXIO"):
        raise TdxLostError(f"TDX is lost on this host; reboot it ({reason})")
    if path:
        message = f"the running module's version is needed to plan, and it is null ({reason})"
        raise InputError(Problem(path, message, ("module_version",)))
    raise NotUpdatableError(f"this host can't be updated: its TDX module's version is not known ({reason})")


class Inputs(NamedTuple):
    """The inputs of a plan: the ``catalog`` of releases, the facts of the ``host``, the ``policy`` with all its layers,
    the day ``as_of`` that decides which entries have expired, and the TCB Info from which the releases have their
    standings."""

    catalog: Catalog
    host: HostFacts
    policy: Policy
    as_of: date
    tcb: TcbView | None = None


def inputs(options: argparse.Namespace, *, without_images: bool = False, host: HostFacts | None = None) -> Inputs:
    """Read the inputs that the options name; ``host`` stands for the facts if the options name no host.

    Raises:
        InputError: an input is unreadable or invalid, or options contradict each other.
        TdxLostError, NotUpdatableError: as :func:`host_facts`.
    """
    configuration.configure(options)
    mapping, images = _planning_sources(options, without_images=without_images)
    as_of = day(options)
    chosen = policy(options, as_of)
    host = host or host_facts(options)
    _refuse_signers(options, chosen, host)
    tcb = _tcb(options, as_of, chosen)
    return Inputs(_catalog(options, mapping, images, chosen, tcb), host, chosen, as_of, tcb)


def catalog_and_policy(
    options: argparse.Namespace, *, without_images: bool = False
) -> tuple[Catalog, Policy, date, TcbView | None]:
    """The inputs of plans for many hosts: the catalog, the policy, the day as of which it was read, and the TCB Info.
    Raises InputError as :func:`inputs`."""
    mapping, images = _planning_sources(options, without_images=without_images)
    as_of = day(options)
    chosen = policy(options, as_of)
    tcb = _tcb(options, as_of, chosen)
    return _catalog(options, mapping, images, chosen, tcb), chosen, as_of, tcb


def _planning_sources(options: argparse.Namespace, *, without_images: bool) -> tuple[str, str | None]:
    why = "images are needed to tell which CPUs a release supports, or give --without-images for a provisional plan"
    if without_images and options.images:
        raise InputError(Problem("--without-images", "contradicts --images; give either"))
    mapping, images = sources(options, why="" if without_images else why)
    return mapping, None if without_images else images


def _catalog(
    options: argparse.Namespace, mapping: str, images: str | None, chosen: Policy, tcb: TcbView | None = None
) -> Catalog:
    from seamstep.image import catalog
    from seamstep.image.files import TRUSTED

    loaded = catalog.load(mapping, images, TRUSTED | chosen.signers, found=bool(options.catalog))
    notes.tell_of_images(loaded)
    if tcb is None:
        return loaded
    from seamstep.tcb.releases import with_tcb

    return loaded._replace(releases=with_tcb(loaded.releases, tcb))


def _tcb(options: argparse.Namespace, as_of: date, chosen: Policy) -> TcbView | None:
    from seamstep.cli import tcb_options

    return tcb_options.view(options, as_of, chosen.tcb_stale_until, decides=chosen.uses_tcb)


def _refuse_signers(options: argparse.Namespace, chosen: Policy, host: HostFacts) -> None:
    """Raise InputError for a signer besides Intel on a real host: P-SEAMLDR has Intel's key built in and no other."""
    if chosen.signers and not host.simulated:
        source, path = ("--signer", ()) if options.signer else (_named(chosen), ("signers",))
        message = "a real host takes Intel's key alone; another signer is for hosts that say that they are simulated"
        raise InputError(Problem(source, message, path))


def _named(chosen: Policy) -> str:
    """The files of a policy's layers, or the names of those that ship."""
    return " + ".join(source.file or source.name for source in chosen.sources)


def plan_from(options: argparse.Namespace, *, without_images: bool = False) -> AtHand:
    """Make the plan that the options ask for. Raises as :func:`inputs`, and InputError for an unlisted target."""
    return plan_of(inputs(options, without_images=without_images), without_images=without_images)


def plan_of(given_: Inputs, *, without_images: bool = False) -> AtHand:
    """Make the plan for some inputs. Raises InputError for an unlisted target."""
    from seamstep.plan.at_hand import AtHand
    from seamstep.plan.document import PlanOutcome
    from seamstep.planning import planner

    plan = planner.make_plan(
        given_.catalog.mapping,
        given_.catalog.releases,
        given_.host,
        given_.policy,
        as_of=given_.as_of,
        hypothetical=given_.as_of != today(),
        without_images=without_images,
        tcb=given_.tcb,
    )
    if plan.outcome is PlanOutcome.NOT_LISTED:
        notes.tell_of_age(given_.catalog.mapping.path)
    return AtHand(plan, given_.policy, given_.catalog.releases, given_.tcb)


def policy(options: argparse.Namespace, as_of: date) -> Policy:
    """The policy that the options name: all layers of ``--policy``, with ``--target`` and ``--signer``.

    Raises:
        InputError: a layer is unreadable or invalid, or an option is malformed.
    """
    from seamstep.policy import layers as policy_layers
    from seamstep.policy import policy_file

    chosen = policy_layers.merge([policy_file.layer(name, as_of) for name in options.policy or [places.POLICY]])
    wanted = target(options)
    chosen = chosen.with_target(wanted) if wanted else chosen
    return chosen.with_signers(signers(options))


def target(options: argparse.Namespace) -> Target | None:
    """The target of ``--target``; None without one. Raises InputError for a malformed one."""
    from seamstep.policy.policy import Target

    try:
        return Target.parse(options.target) if options.target else None
    except ValueError as error:
        raise InputError(Problem("--target", f"{error}, or 'newest', or 'closes' with an advisory")) from None


def today() -> date:
    """Today in UTC. No other function reads the clock to decide on expiry."""
    return datetime.now(UTC).date()


def day(options: argparse.Namespace) -> date:
    """The day of ``--as-of``, or today."""
    if not options.as_of:
        return today()
    try:
        return date.fromisoformat(options.as_of)
    except ValueError:
        raise InputError(Problem("--as-of", f"{options.as_of!r} is not a day such as 2027-03-31")) from None


def sources(options: argparse.Namespace, *, why: str) -> tuple[str, str | None]:
    """The mapping file and the folder of images that the options name; ``why`` is the reason that
    images are needed, for the error without them; empty if they are optional.

    Raises:
        InputError: one is missing, or both ways of naming them are mixed.
    """
    mapping, images = named_sources(options)
    if not mapping:
        message = "a mapping file is needed: give --mapping FILE or --catalog DIR"
        if hasattr(options, "configuration"):
            message += f", or on a host have {places.CONFIG} name a catalog; {places.CATALOG} is the default"
        raise InputError(Problem("--mapping", message))
    if why and not images:
        raise InputError(Problem("--images", f"give --images DIR or --catalog DIR: {why}"))
    return mapping, images


def named_sources(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """The mapping file and the folder of images that the options name, each None if they do not. Raises InputError if
    both ways of naming them are mixed."""
    from seamstep.image.catalog import MAPPING_FILE

    if options.catalog and (options.mapping or options.images):
        raise InputError(Problem("--catalog", "stands for --mapping and --images; give either"))
    mapping = f"{options.catalog}/{MAPPING_FILE}" if options.catalog else options.mapping
    return mapping, options.images or options.catalog
