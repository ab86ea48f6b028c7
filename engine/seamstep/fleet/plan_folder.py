"""Reading what ``seamstep fleet plan -o OUT`` wrote: the classes, and the class of each host."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

from seamstep.base.documents import Document, parse_object, read_json, unreadable
from seamstep.base.errors import PROBLEMS_MAX, InputError, Problem
from seamstep.fleet import waves
from seamstep.fleet.messages import Assigned
from seamstep.fleet.settings import Rollout
from seamstep.fleet.state import Class

SCHEMA = "seamstep/fleet/v1"
_UPDATE = "update"
_SIZE_LIMIT = 2 << 30
_VALUES_MAX = 200_000_000


class FleetPlan(NamedTuple):
    """The classes of a fleet, its hosts, and the digest of the document with the classes."""

    classes: tuple[Class, ...]
    hosts: tuple[Assigned, ...]
    sha256: str


def load(folder: str, rollout: Rollout) -> FleetPlan:
    """Read the fleet plan in ``folder``; ``rollout`` names the label that is a host's domain.

    Raises:
        InputError: unreadable or invalid, a host without that label, or a limit that permits no host; lists all.
    """
    document = read_json(f"{folder}/fleet.json", _SIZE_LIMIT, "fleet plan", values_max=_VALUES_MAX)
    if document.data.get("schema") != SCHEMA:
        raise InputError(document.problem(("schema",), f"expected the text {SCHEMA}"))
    try:
        classes = [_class(data) for data in document.data["classes"]]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(Problem(document.source, f"not a fleet plan: {_told(error)}")) from None
    twice = [name for name, count in Counter(class_.id for class_ in classes).items() if count > 1]
    if twice:
        raise InputError(Problem(document.source, f"two classes have the class_id {twice[0]}"))
    _require_whole(document, folder)
    hosts = tuple(_hosts(f"{folder}/hosts.jsonl", {class_.name: class_ for class_ in classes}, rollout))
    _refuse_empty_limits(f"{folder}/hosts.jsonl", classes, hosts, rollout)
    return FleetPlan(tuple(classes), hosts, document.sha256)


def _require_whole(document: Document, folder: str) -> None:
    """Raise InputError unless hosts.jsonl is the list of hosts that the document names, as it was written."""
    named = document.data.get("hosts")
    if not isinstance(named, dict):
        return
    if named.get("file") != "hosts.jsonl":
        message = "a rollout reads hosts as JSON Lines; plan the fleet without --parquet"
        raise InputError(document.problem(("hosts", "file"), message))
    digest = hashlib.sha256()
    try:
        with open(f"{folder}/hosts.jsonl", "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise unreadable(f"{folder}/hosts.jsonl", "list of hosts", error) from None
    if digest.hexdigest() != named.get("sha256"):
        raise InputError(
            document.problem(("hosts", "sha256"), "hosts.jsonl is not the file that this was written with")
        )


def _told(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)


def _class(data: Mapping[str, Any]) -> Class:
    group = waves.group(data["platform"], data["module"], data["seamldr"], data["kernel"])
    if data["outcome"] != _UPDATE:
        reason = f"{data['outcome']}: {data.get('reason') or 'no update'}"
        return _checked(Class(data["class_id"], data["class"], group, (str(data["module"]),), reason=reason))
    plan = data["plan"]
    hops = plan["hops"]
    if not hops:
        raise ValueError(f"the plan of {data['class']} has no hop, and its outcome is an update")
    versions = (hops[0]["from"], *(hop["to"] for hop in hops))
    step_ids = tuple(data.get("step_ids") or ())
    if None in step_ids:  # further on, hosts would plan another way
        hops = hops[: step_ids.index(None)]
        versions = versions[: len(hops) + 1]
    measured = [(plan["attestation"] or {}).get("before"), *(hop["image"] for hop in hops)]
    measurements = tuple(str((one or {}).get("mrseam") or "") for one in measured)
    class_ = Class(
        id=data["class_id"],
        name=data["class"],
        group=group,
        versions=versions,
        remaining=plan["host"]["remaining_updates"],
        measurements=measurements if all(measurements) else (),
        step_ids=step_ids[: len(hops)],
    )
    if plan.get("provisional"):
        class_ = class_._replace(versions=versions[:1], reason="its plan is provisional; plan with images")
    return _checked(class_)


def _checked(class_: Class) -> Class:
    """The class. Raises ValueError if a value is not of its type."""
    texts = (class_.id, class_.name, class_.reason, *class_.versions, *class_.step_ids)
    if not all(isinstance(text, str) for text in texts) or type(class_.remaining) not in {int, NoneType}:
        raise ValueError(f"the class {class_.name!r} has a value of another type than it should have")
    return class_


def _hosts(path: str, classes: Mapping[str, Class], rollout: Rollout) -> Iterator[Assigned]:
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, line in enumerate(_lines(path), 1):
        if len(problems) > PROBLEMS_MAX:
            break
        try:
            host = _host(parse_object(line, path, "host"), classes, rollout, seen)
        except InputError as error:
            problems += [problem._replace(line=number, column=problem.column or 1) for problem in error.problems]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(Problem(path, f"not a host of the fleet plan: {_told(error)}", (), number, 1))
        else:
            seen.add(host.host)
            yield host
    if problems:
        raise InputError(problems)
    if not seen:
        raise InputError(Problem(path, "there is no host"))


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, "list of hosts", error) from None


def _host(data: Mapping[str, Any], classes: Mapping[str, Class], rollout: Rollout, seen: set[str]) -> Assigned:
    name, class_, boot_id = data["host"], classes.get(data["class"]), data["boot_id"]
    if not isinstance(name, str) or not name or not isinstance(boot_id, str | None):
        raise ValueError("'host' has to be a name, and 'boot_id' text or null")
    if name in seen:
        raise ValueError(f"the host {name!r} stands twice")
    if class_ is None:
        raise ValueError(f"fleet.json has no class {data['class']!r}")
    domain = data["labels"].get(rollout.domain, "") if rollout.domain else ""
    if rollout.domain and class_.steps and not domain:
        raise ValueError(f"{name} has no label {rollout.domain!r}, which the rollout names as its domain")
    return Assigned(name, boot_id or None, class_.id, str(domain))


def _refuse_empty_limits(path: str, classes: list[Class], hosts: tuple[Assigned, ...], rollout: Rollout) -> None:
    """Raise InputError for limits that come to no host, where hosts are to be updated: they would wait for ever."""
    problems = []
    if not rollout.limit(len(hosts), domain=False):
        told = f"unavailable.in_all: {rollout.unavailable_in_all} of {len(hosts)} hosts is no host; none could begin"
        problems.append(Problem(path, told))
    moving = {class_.id for class_ in classes if class_.steps}
    sizes = Counter(host.domain for host in hosts)
    wanted = {host.domain for host in hosts if host.class_id in moving} if rollout.domain else set()
    for domain in sorted(wanted):
        if not rollout.limit(sizes[domain], domain=True):
            told = f"{rollout.unavailable_in_domain} of {sizes[domain]} hosts is no host; none of them could begin"
            problems.append(Problem(path, f"unavailable.in_domain: {rollout.domain} {domain}: {told}"))
    if problems:
        raise InputError(problems)
