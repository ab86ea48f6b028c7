"""The facts that are read again directly before the commit.

Verifying and staging an image takes time. P-SEAMLDR would detect a change in between only after the old module was shut
down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seamstep.domain.facts import HostFacts
from seamstep.host.base import PROFILES, Host
from seamstep.host.read_facts import cpus_online, remaining_updates, running_tds
from seamstep.host.upload import UploadPort
from seamstep.plan.document import Hop, Plan
from seamstep.run.executor import kernel


def td_hazard(plan: Plan, hop: Hop, before: int | None, now: int | None) -> str:
    """The reason why a TD may be under construction during a hop that is not safe for it.

    Args:
        plan: the plan, with the policy's promise about the creation of TDs.
        hop: the hop.
        before: the number of TDs at preflight; None if not known.
        now: the number of TDs now; None if not known.

    Returns:
        A clause; empty if no TD can be under construction, or the policy accepts the risk.
    """
    if hop.safe_while_tds_are_created:
        return ""
    shown = "the number of TDs can't be read" if now is None else f"{now} TD{' runs' if now == 1 else 's run'}"
    if hop.needs_no_td and now != 0:
        return f"{shown}, and the hop is permitted only while none does"
    if plan.creation_held and not hop.needs_no_td and before is not None and (now is None or now > before):
        return f"{shown}, and there were {before}: the creation of TDs is not held back, as the policy says it is"
    return ""


def changes(
    host: Host, plan: Plan, hop: Hop, facts: HostFacts, refused: Callable[[Hop, HostFacts], Iterator[str]]
) -> Iterator[str]:
    """The facts that ``hop`` depends on and that changed since preflight, which read ``facts``; a clause each. Where
    none did but the number of TDs, ``refused`` tells what the rules say to the new number."""
    online = cpus_online(host)
    if online != facts.cpus_online:
        yield f"CPUs {facts.cpus_online} were online, now {online or 'unknown'}"
    remaining = remaining_updates(host, PROFILES[facts.profile or ""])
    if remaining != facts.remaining_updates:
        yield f"{facts.remaining_updates} updates remained, now {'unknown' if remaining is None else remaining}"
    version, lost, unreadable = kernel.version_now(host)
    if version != hop.source:
        yield "TDX is lost" if lost else f"{version} runs" if version else f"the version can't be read: {unreadable}"
    now = running_tds(host)
    hazard = td_hazard(plan, hop, facts.running_tds, now)
    if hazard:
        yield hazard
    elif now != facts.running_tds:
        yield from refused(hop, facts._replace(running_tds=now))
    others = kernel.under_way(UploadPort(host, PROFILES[facts.profile or ""].upload_path))
    if others:
        yield f"another program's update is under way ({others})"
