"""Options that several commands share, and how they become inputs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seamstep import facts as facts_document
from seamstep.errors import InputError, NotUpdatableError, Problem, TdxLostError
from seamstep.facts import HostFacts

if TYPE_CHECKING:
    from seamstep.plan import Plan

DEFAULT_POLICY = "fewest-hops"


def add_output(parser: argparse.ArgumentParser) -> None:
    """``--json``, ``-o`` and ``--force``."""
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the JSON document to FILE as well")
    parser.add_argument("--force", action="store_true", help="let -o overwrite FILE")


def add_sysroot(parser: argparse.ArgumentParser) -> None:
    """``--sysroot``."""
    parser.add_argument("--sysroot", metavar="DIR", default="/", help="read and write the host's files below DIR")


def add_planning(parser: argparse.ArgumentParser) -> None:
    """What a plan is made from."""
    group = parser.add_argument_group("what the plan is made from")
    group.add_argument("--mapping", metavar="FILE", help="Intel's mapping_file.json, or one of its form")
    group.add_argument("--images", metavar="DIR", help="folder with tdx_module_<version>.blob files, at any depth")
    group.add_argument("--catalog", metavar="DIR", help="a folder with both: mapping_file.json, and images below it")
    group.add_argument("--policy", metavar="NAME|FILE", help=f"the policy to plan by (default: {DEFAULT_POLICY})")
    group.add_argument("--target", metavar="TARGET", help="newest, a version or a specifier, instead of the policy's")


def host_facts(options: argparse.Namespace) -> HostFacts:
    """The facts from ``--facts``, or of this host.

    Raises:
        InputError: the facts file is unreadable, invalid, or lacks the running version.
        TdxLostError: TDX is lost on the host.
        NotUpdatableError: no TDX module runs here.
    """
    from seamstep.host.read_facts import read_facts
    from seamstep.host.sysfs import SysfsHost

    path = getattr(options, "facts", None)
    facts = facts_document.load(path) if path else read_facts(SysfsHost(options.sysroot))
    if facts.module_version is not None:
        return facts
    reason = facts.why_unknown("module_version")
    if reason.startswith("ENXIO"):
        raise TdxLostError(f"TDX is lost on this host; reboot it ({reason})")
    if path:
        message = f"the running module's version is needed to plan, and it is null ({reason})"
        raise InputError(Problem(path, message, ("module_version",)))
    raise NotUpdatableError(f"this host can't be updated: its TDX module's version is not known ({reason})")


def make_plan(options: argparse.Namespace, *, without_images: bool = False) -> Plan:
    """Plan as the options say. Raises what reading the inputs raises."""
    from seamstep import catalog, planner, policy

    mapping, images = _sources(options, without_images=without_images)
    chosen = policy.load(options.policy or DEFAULT_POLICY)
    if options.target:
        try:
            chosen = chosen.with_target(policy.Target.parse(options.target))
        except ValueError as error:
            raise InputError(Problem("--target", f"{error}, or 'newest'")) from None
    host = host_facts(options)
    loaded = catalog.load(mapping, images)
    return planner.make_plan(loaded.mapping, loaded.releases, host, chosen, without_images=without_images)


def _sources(options: argparse.Namespace, *, without_images: bool) -> tuple[str, str | None]:
    from seamstep.catalog import MAPPING_FILE

    given = options.mapping or options.images
    if options.catalog and given:
        raise InputError(Problem("--catalog", "stands for --mapping and --images; give either"))
    if without_images and options.images:
        raise InputError(Problem("--without-images", "contradicts --images; give either"))
    mapping = f"{options.catalog}/{MAPPING_FILE}" if options.catalog else options.mapping
    if not mapping:
        raise InputError(Problem("--mapping", "a mapping file is needed: give --mapping FILE or --catalog DIR"))
    images = None if without_images else options.images or options.catalog
    if not images and not without_images:
        message = "images are needed to tell which CPUs a release supports: give --images DIR, or --without-images"
        raise InputError(Problem("--images", f"{message} for a provisional plan"))
    return mapping, images
