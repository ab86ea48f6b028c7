# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

"""The rollout core on the controller: ``seamstep fleet``."""

from __future__ import annotations

import json

from ansible_collections.seamstep.tdx.plugins.module_utils import seamstep

#: A ledger is locked for as long as another command works on it.
TIMEOUT = 600
#: A host may begin; it has begun under that lease before.
BEGUN, ALREADY_BEGUN = "begun", "already-begun"


class Ledger:
    """A ledger, and the program that keeps it."""

    def __init__(self, path, executable="seamstep"):
        self.path = path
        self.executable = executable

    def next(self, limit=None, given=False):
        """Ask for leases; with ``given`` list those that were given and not begun under."""
        more = ["--open"] if given else []
        return self._ask("next", *more, *(["--limit", str(limit)] if limit is not None else []))

    def begin(self, host, lease, boot_id):
        """Ask whether a host may begin."""
        return self._ask("begin", "--host", host, "--lease", lease, *(["--boot-id", boot_id] if boot_id else []))

    def record(self, *reports):
        """Record reports, objects of schemas/report.schema.json, all or none."""
        text = "".join(json.dumps(report) + "\n" for report in reports)
        return self._ask("record", "-", stdin=text.encode("ascii"))

    def allow(self, path):
        """Record the verifier's allow-list."""
        return self._ask("record", "--allow-list", path)

    def status(self):
        """How the rollout stands."""
        return self._ask("status")

    def _ask(self, name, *more, **options):
        arguments = [self.executable, "fleet", name, "--ledger", self.path, "--json", *list(more)]
        return seamstep.run(arguments, options.get("stdin"), timeout=TIMEOUT)


def code_of(answer):
    """The stable code of an answer: the document's own word, where it has one."""
    schema, said = answer.document.get("schema"), answer.document.get("code")
    if schema == "seamstep/leases/v1" and isinstance(said, str):
        return said
    if schema == "seamstep/begin/v1" and isinstance(said, str):
        if answer.document.get("may_begin") is True and answer.exit_code == 0:
            return BEGUN
        return ALREADY_BEGUN if said == BEGUN else said
    if schema == "seamstep/recorded/v1":
        return "recorded" if answer.exit_code == 0 else "not-believed"
    if schema == "seamstep/fleet-status/v1":
        return str(answer.document.get("state"))
    return answer.code


def halts(status):
    """Each halt in a sentence, with who can resume and how."""
    return [
        "HALT of {} since {}: {}. Who can resume: {}. With: {}".format(
            halt.get("scope"), halt.get("since"), halt.get("reason"), halt.get("who"), halt.get("command")
        )
        for halt in status.get("halts") or ()
    ]


def left(status):
    """What keeps a rollout from being done, in sentences; empty if each host that was to be updated is."""
    told = halts(status)
    blocked = status.get("blocked") or ()
    halted = sum(one.get("hosts") or 0 for one in blocked if one.get("code") == "halt")
    if halted:
        told.append(f"{halted} hosts wait for a person to resume")
    for one in blocked:
        if one.get("code") == "halt":
            continue
        told.append(
            "{} hosts wait for {} -> {}: {}. Remedy: {}".format(
                one.get("hosts"), one.get("from"), one.get("to"), one.get("reason"), one.get("remedy")
            )
        )
    if status.get("free"):
        told.append("{} hosts may begin as soon as the rollout is run again".format(status["free"]))
    for host in (status.get("unavailable") or []) + (status.get("aside") or []):
        if host.get("phase") != "waiting":
            told.append(
                "{} is {}: {}. Remedy: {}".format(
                    host.get("host"), host.get("phase"), host.get("note"), host.get("remedy")
                )
            )
    return [seamstep.short(line) for line in told[:100]] + (["and %d more" % (len(told) - 100)] if told[100:] else [])


def reasons(document):
    """What keeps hosts, in sentences, as ``fleet next`` says it."""
    return ["{} hosts: {}".format(one.get("hosts"), one.get("reason")) for one in (document.get("blocked") or ())[:5]]


def summary(status):
    """The hosts by state in one sentence."""
    totals = status["totals"]
    phases = ", ".join("%d %s" % (count, phase) for phase, count in sorted((totals.get("phases") or {}).items()))
    outside = "; ".join("%d outside: %s" % (count, why) for why, count in sorted((status.get("outside") or {}).items()))
    told = "rollout {}: {}".format((status.get("rollout") or {}).get("name"), status.get("state"))
    return seamstep.short("%s; %d hosts: %s%s" % (told, totals.get("hosts", 0), phases, outside and "; " + outside))


def stuck(status):
    """Whether nothing goes on by itself: no host is at work, and none waits for a time to pass."""
    blocked = status.get("blocked") or ()
    return status.get("state") == "waiting" and not any(one.get("until") for one in blocked)


def over(status):
    """Whether a rollout waits for nothing but hosts that lost TDX, which a person has to reboot."""
    away = status.get("unavailable") or ()
    return status.get("state") == "waiting" and bool(away) and all(one.get("phase") == "lost" for one in away)


def report(host, lease=None, **said):
    """A report on a host, without what is not known."""
    found = {"host": host, "lease": lease}
    found.update(said)
    return {key: value for key, value in found.items() if value is not None}
