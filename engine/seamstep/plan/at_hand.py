"""What a saved plan names, at hand on the host that is to be updated: the policy, the mapping file and the images.

A plan is a proposal. It may have been made elsewhere, and its digest shows damage and not forgery. So nothing that
decides comes from the plan alone: the policy and the mapping file are read again, have to be those that the plan was
made from, and have to be named by the caller, or to be files that only root can change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base.documents import require_regular
from seamstep.base.errors import InputError, Problem, RefusedError, StalePlanError
from seamstep.base.versions import ModuleVersion
from seamstep.domain import mapping
from seamstep.domain.model import Release
from seamstep.image import catalog
from seamstep.image.files import TRUSTED
from seamstep.plan.document import Hop, Plan
from seamstep.plan.own_files import own_file
from seamstep.policy import layers as policy_layers
from seamstep.policy import policy_file
from seamstep.policy.layers import Layer
from seamstep.policy.policy import Policy, Target

if TYPE_CHECKING:
    from seamstep.domain.tcb import TcbView


class Named(NamedTuple):
    """The files that a caller names, instead of those that the plan names.

    Attributes:
        mapping: the mapping file; None for the plan's.
        found: whether the mapping file was found in a folder that the caller named.
        images: a folder with the images; None for the plan's files.
        policies: the policies, in the order of the plan's layers; empty for the plan's.
        target: the releases to go to, instead of those that the policy names; None for those of the policy.
        tcb_info: files and folders with TCB Info; empty for the plan's files.
    """

    mapping: str | None = None
    found: bool = False
    images: str | None = None
    policies: Sequence[str] = ()
    target: Target | None = None
    tcb_info: Sequence[str] = ()


class AtHand(NamedTuple):
    """A plan with what it was made from.

    Attributes:
        plan: the plan; its hops have the paths of the images at hand.
        policy: the merged policy, as of today.
        releases: the releases that the plan names, as the mapping file has them, with their images.
        tcb: the TCB Info from which the releases have their standings; None if the policy does not go by it.
    """

    plan: Plan
    policy: Policy
    releases: tuple[Release, ...]
    tcb: TcbView | None = None


def at_hand(plan: Plan, named: Named, today: date, *, strict: bool = True) -> AtHand:
    """Read what a plan was made from.

    Args:
        plan: the plan.
        named: the files that the caller names.
        today: the day that decides what has expired.
        strict: whether files that the plan names count only if root and the user alone can change them.

    Raises:
        StalePlanError: a file that the plan names can't be read; a file is not the one that the plan was made from; the
            policy decides differently today; the plan contradicts its policy.
        RefusedError: a file has to be named by the caller.
        InputError: a file that the caller names can't be read or is invalid, or the images can't be read.
    """
    then = date.fromisoformat(plan.document["as_of"])
    layers = _layers(plan, named, today, strict=strict)
    _refuse_drift_of_time(plan, layers, then, today)
    policy = policy_layers.merge(layers)
    wanting = policy.with_target(named.target) if named.target else policy
    tcb = _tcb(plan, named, wanting, today, strict=strict) if wanting.uses_tcb else None
    _refuse_contradictions(plan, wanting, tcb)
    if policy.apply and not named.policies:
        given = " ".join(f"--policy {one.file or one.name}" for one in policy.sources)
        message = f"the policy {policy.name} has windows, a soak time, retries or commands, and a plan is no authority"
        raise RefusedError(f"{message} for these: name the policy too, with {given}")
    listed = _mapping(plan, named, strict=strict).releases
    wanted = {plan.source, *(hop.target for hop in plan.hops)}
    bare = [release for release in listed if release.version in wanted]
    bare += [Release(version) for version in sorted(wanted - {release.version for release in bare})]
    if named.images:
        paths = [path for path in catalog.find(named.images)[0] if catalog.version_of(path) in wanted]
    else:
        paths = list(dict.fromkeys(_image_paths(plan)))
    releases = catalog.with_paths(bare, paths, TRUSTED | plan.signers).releases
    if tcb:
        from seamstep.plan import tcb_at_hand

        releases = tcb_at_hand.with_standings(plan, wanting, releases, tcb)
    return AtHand(_moved(plan, releases) if named.images else plan, policy, releases, tcb)


def _tcb(plan: Plan, named: Named, policy: Policy, today: date, *, strict: bool) -> TcbView | None:
    from seamstep.plan import tcb_at_hand

    return tcb_at_hand.view(plan, named.tcb_info, policy, today, strict=strict)


def _layers(plan: Plan, named: Named, today: date, *, strict: bool) -> list[Layer]:
    """The layers of the plan's policy, as of ``today``."""
    wanted: list[dict[str, Any]] = plan.document["policy"]["layers"]
    names = named.policies or [_of_layer(layer, strict=strict) for layer in wanted]
    if len(names) != len(wanted):
        made_with = " ".join(f"--policy {layer['path'] or layer['name']}" for layer in wanted)
        raise StalePlanError(f"stale plan: it was made with {made_with}, in this order")
    found, drifted = [], []
    for name, layer in zip(names, wanted, strict=True):
        try:
            if layer["path"] and not named.policies:
                require_regular(name, "policy")
            found.append(policy_file.layer(name, today))
        except InputError as error:
            if named.policies:
                raise
            drifted.append(f"the policy it was made from can't be read: {error}")
            continue
        if found[-1].document.sha256 != layer["sha256"]:
            drifted.append(_other("policy", name, layer["path"] or layer["name"], named=bool(named.policies)))
    if drifted:
        raise StalePlanError(f"stale plan: {'; '.join(drifted)}; plan again")
    return found


def _of_layer(layer: Mapping[str, Any], *, strict: bool) -> str:
    """The policy of a layer, as the plan names it: a file, or one that ships."""
    path, name = layer["path"], layer["name"]
    if path:
        return own_file("policy", "--policy", path) if strict else str(path)
    if policy_file.is_file(name):
        raise StalePlanError(f"stale plan: {name} is a file, and the plan says that it ships with seamstep; plan again")
    return str(name)


def _refuse_drift_of_time(plan: Plan, layers: Sequence[Layer], then: date, today: date) -> None:
    """Raise StalePlanError if a denial or waiver that was in force when the plan was made has ended, or the other way
    round, as where the clock was set back."""
    changes = [change for layer in layers for change in _changes(layer, then, today)]
    if changes or not plan.decides(today):
        until = plan.valid_until
        told = "; ".join(map(str, changes)) or f"it is for {then} to {until or 'any later day'}, and today is {today}"
        raise StalePlanError(f"stale plan: the policy decides differently today: {told}; plan again")


def _changes(layer: Layer, then: date, today: date) -> Iterator[Problem]:
    """The denials and waivers of a policy that are in force on one of two days alone."""
    for key, what in (("deny", "denial"), ("accept", "waiver")):
        for index, entry in enumerate(layer.document.data.get(key, ())):
            until = entry.get("until")
            over, was_over = (bool(until) and date.fromisoformat(until) < day for day in (today, then))
            if over != was_over:
                told = f"this {what} expired on {until}" if over else f"this {what} is in force again, until {until}"
                yield layer.document.problem((key, index, "until"), told)


def _refuse_contradictions(plan: Plan, policy: Policy, tcb: TcbView | None) -> None:
    """Raise StalePlanError if the plan repeats its policy wrongly, or uses more updates than it permits."""
    wrong = next(_contradictions(plan, policy, tcb), None)
    if wrong:
        raise StalePlanError(f"stale plan: {wrong}: it was changed after it was made; plan again")


def _contradictions(plan: Plan, policy: Policy, tcb: TcbView | None) -> Iterator[str]:
    if plan.document["apply"] != dict(policy.apply) or plan.creation_held != policy.creation_held:
        yield "its settings are not those of its policy"
    until = policy.valid_until_with(tcb)
    if plan.document["valid_until"] != until:
        yield f"its policy decides alike until {until or 'any day'}, and the plan does not say so"
    hops, left = len(plan.hops), (plan.host.remaining_updates or 0) - len(plan.hops)
    if policy.max_hops is not None and hops > policy.max_hops:
        yield f"it has {hops} hops, and its policy permits at most {policy.max_hops}"
    if hops and not policy.target.names(plan.hops[-1].target):
        yield f"it leads to {plan.hops[-1].target}, which its policy's target {policy.target.text} does not name"
    if hops and left < policy.keep_updates:
        yield f"it leaves {left} updates, and its policy keeps {policy.keep_updates} in reserve"


def _mapping(plan: Plan, named: Named, *, strict: bool) -> mapping.MappingFile:
    path = named.mapping or plan.document["mapping"].get("path")
    if not path:
        raise RefusedError("the plan does not say where its mapping file is: name it, with --mapping")
    if strict and not named.mapping:
        path = own_file("mapping file", "--mapping", path)
    try:
        if not named.mapping:
            require_regular(path, mapping.WHAT)
        found = mapping.load(path, found=named.found)
    except InputError as error:
        if named.mapping:
            raise
        raise StalePlanError(f"stale plan: the mapping it was made from can't be read: {error}; plan again") from None
    if found.sha256 != plan.document["mapping"]["sha256"]:
        other = _other("mapping", path, plan.document["mapping"].get("path"), named=bool(named.mapping))
        raise StalePlanError(f"stale plan: {other}; plan again")
    return found


def _other(what: str, path: str, planned: str | None, *, named: bool) -> str:
    """That a file is not the one that the plan was made from, as a clause: if the caller ``named`` it, it may be
    another one as well as one that changed."""
    if not named:
        return f"the {what} changed: {path}"
    was = f", {planned}, as it was then" if planned else ""
    return f"the {what} {path} is not the one that it was made from{was}"


def _image_paths(plan: Plan) -> Iterator[str]:
    if plan.running_image:
        yield plan.running_image[0]
    for hop in plan.hops:
        if hop.image:
            yield hop.image.path


def _moved(plan: Plan, releases: Sequence[Release]) -> Plan:
    """The plan with the paths of the images at hand, which may lie in another folder than when it was made."""
    by_version = {release.version: release for release in releases}
    running = by_version[plan.source].image
    image = plan.running_image and ((running.path, plan.running_image[1]) if running else plan.running_image)
    return plan._replace(hops=tuple(_moved_hop(hop, by_version) for hop in plan.hops), running_image=image)


def _moved_hop(hop: Hop, releases: dict[ModuleVersion, Release]) -> Hop:
    found = releases[hop.target].image
    if not hop.image or not found:
        return hop
    return hop._replace(image=hop.image._replace(path=found.path, sigstruct=found.sigstruct_path))
