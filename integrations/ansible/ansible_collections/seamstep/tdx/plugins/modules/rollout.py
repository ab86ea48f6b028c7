#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Ask and tell the rollout core on the controller
version_added: 0.1.0
description:
  - Runs C(seamstep fleet next), C(begin), C(record) or C(status) on the machine with the ledger, which is the
    controller. Delegate it to C(localhost). It needs no root.
  - The core decides which hosts may begin an update and when. This module reaches no other host.
  - The playbook C(seamstep.tdx.rollout) does all of it; M(seamstep.tdx.step) is one host's turn in it.
author:
  - The seamstep project (!UNKNOWN)
options:
  command:
    description:
      - V(next) asks which hosts may begin now, and gives a lease for each.
      - V(open) lists the leases that were given and not begun under, as after a controller was killed.
      - V(begin) asks, directly before a host begins, whether it may.
      - V(record) records what came of it.
      - V(status) says what stands still and why.
    type: str
    choices: [next, open, begin, record, status]
    required: true
  ledger:
    description: The ledger, a file that C(seamstep fleet start) made.
    type: path
    required: true
  limit:
    description: The most leases that V(next) gives.
    type: int
  host:
    description: The host's name in the ledger, with V(begin) and V(record).
    type: str
  lease:
    description: The id of its lease.
    type: str
  boot_id:
    description: The boot that the host is in, or was seen in.
    type: str
  document:
    description:
      - What C(seamstep apply --json) or C(seamstep status --json) printed on the host, with V(record).
      - It is RV(seamstep.tdx.apply#module:document) or RV(seamstep.tdx.facts#module:status).
    type: dict
  outcome:
    description: What came of a lease where there is no O(document), with V(record).
    type: str
    choices: [unreachable, rebooting, not-begun]
  note:
    description: The reason, with V(record).
    type: str
  allow_list:
    description: A file with the MRSEAMs that the verifier allows from now on, one a line, with V(record).
    type: path
  wait:
    description:
      - For how many seconds V(next) asks again while none may begin. It ends earlier as soon as there is a lease, and
        when the rollout is finished or halted, or waits for nothing but hosts that lost TDX.
      - With V(status), for how many seconds it reads again while the rollout is neither finished nor halted.
    type: int
    default: 0
  interval:
    description: Seconds between two questions.
    type: int
    default: 30
  executable:
    description: The program seamstep on the controller.
    type: path
    default: seamstep
requirements:
  - seamstep on the controller
attributes:
  check_mode:
    support: partial
    description: Can run in check mode and return a status prediction without changing the host.
    details: In check mode V(next), V(begin) and V(record) read the status of the rollout and write nothing.
  diff_mode:
    support: none
    description: Returns details on what has changed, or would change in check mode, when in diff mode.
"""

EXAMPLES = r"""
- name: Ask which hosts may begin
  seamstep.tdx.rollout:
    command: next
    ledger: prod.ledger
    limit: 5
  delegate_to: localhost
  register: following

- name: Record that a host could not be reached
  seamstep.tdx.rollout:
    command: record
    ledger: prod.ledger
    host: host-b
    lease: 77aa
    outcome: unreachable
    note: no answer from its BMC
  delegate_to: localhost

- name: Tell the core what the verifier allows
  seamstep.tdx.rollout:
    command: record
    ledger: prod.ledger
    allow_list: /srv/tdx/allowed.txt
  delegate_to: localhost
"""

RETURN = r"""
code:
  description:
    - With V(next) and V(open), V(leases), V(waiting) (none may begin now), V(finished) or V(halted).
    - With V(begin), V(begun), or why it may not begin, such as V(halt), V(rebooted), V(already-begun) or
      V(no-such-lease).
    - With V(record), V(recorded), or V(not-believed).
    - With V(status), V(running), V(waiting), V(finished) or V(halted).
    - Otherwise, why the core could not be asked. V(refused), V(invalid), V(busy), V(internal), V(not-run) or
      V(no-answer).
  returned: always
  type: str
  sample: leases
exit_code:
  description: The exit code of the command.
  returned: always
  type: int
  sample: 0
leases:
  description: With V(next) and V(open), the leases, each with C(host), C(class_id), C(step), C(lease), C(boot_id).
  returned: always
  type: list
  elements: dict
stuck:
  description:
    - With V(next) and V(status), whether nothing goes on without a person or a host that comes back. No host is at
      work, and none waits for a time to pass.
  returned: always
  type: bool
blocked:
  description: With V(next), what keeps hosts, if there is no lease.
  returned: always
  type: list
  elements: dict
left:
  description: With V(status) and where V(next) is halted, what keeps the rollout from being done, in sentences.
  returned: always
  type: list
  elements: str
document:
  description: The document that the command printed.
  returned: always
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.seamstep.tdx.plugins.module_utils import fleet

#: Codes that are an answer and no failure. `halted` is one in a status, and none for a host that wants to begin.
GOOD = {
    "next": ("leases", "waiting", "finished"),
    "open": ("leases",),
    "begin": ("begun",),
    "record": ("recorded",),
    "status": ("running", "waiting", "finished", "halted"),
}


#: Codes after which it is asked again.
WAIT = {"next": ("waiting",), "status": ("running", "waiting")}


def main():
    module = AnsibleModule(
        argument_spec={
            "command": {"type": "str", "choices": sorted(GOOD), "required": True},
            "ledger": {"type": "path", "required": True},
            "limit": {"type": "int"},
            "host": {"type": "str"},
            "lease": {"type": "str"},
            "boot_id": {"type": "str"},
            "document": {"type": "dict"},
            "outcome": {"type": "str", "choices": ["unreachable", "rebooting", "not-begun"]},
            "note": {"type": "str"},
            "allow_list": {"type": "path"},
            "wait": {"type": "int", "default": 0},
            "interval": {"type": "int", "default": 30},
            "executable": {"type": "path", "default": "seamstep"},
        },
        mutually_exclusive=[("document", "outcome", "allow_list")],
        required_if=[
            ("command", "begin", ("host", "lease")),
            ("command", "record", ("document", "outcome", "allow_list"), True),
        ],
        required_by={"document": ("host",), "outcome": ("host",)},
        supports_check_mode=True,
    )
    parameters = module.params
    ledger = fleet.Ledger(parameters["ledger"], parameters["executable"])
    command = parameters["command"]
    if module.check_mode and command in ("next", "begin", "record"):
        command = "status"
    answer = patiently(ledger, command, parameters)
    code = fleet.code_of(answer)
    document = answer.document
    result = answer.result(
        changed=(command in ("begin", "record") and code in GOOD[command]) or (command == "next" and code == "leases"),
        leases=document.get("leases") or [],
        blocked=document.get("blocked") or [],
        left=[],
        stuck=False,
        document=document,
    )
    if code == "waiting":
        result["stuck"] = fleet.stuck(document if command == "status" else ledger.status().document)
    if command == "status" and document.get("totals"):
        result["left"] = fleet.left(document)
        told = [fleet.summary(document), *result["left"]]
    elif code == "halted":
        told = result["left"] = fleet.halts(ledger.status().document)
    else:
        told = fleet.reasons(document)
    result["code"] = code
    result["msg"] = "; ".join(told) or answer.message or code
    if code in GOOD[command]:
        module.exit_json(**result)
    module.fail_json(**result)


def patiently(ledger, command, parameters):
    """The answer of the core; while it is that none may begin now, the last one within ``wait`` seconds."""
    end = time.monotonic() + parameters["wait"]
    while True:
        answer = ask(ledger, command, parameters)
        left = end - time.monotonic()
        if fleet.code_of(answer) not in WAIT.get(command, ()) or left <= 0:
            return answer
        if command == "next" and not answer.document.get("blocked") and fleet.over(ledger.status().document):
            return answer
        time.sleep(min(max(parameters["interval"], 1), left))


def ask(ledger, command, parameters):
    """The answer of the core."""
    host, lease, boot_id = (parameters[name] for name in ("host", "lease", "boot_id"))
    if command == "begin":
        return ledger.begin(host, lease, boot_id)
    if command == "status":
        return ledger.status()
    if command != "record":
        return ledger.next(parameters["limit"], given=command == "open")
    if parameters["allow_list"]:
        return ledger.allow(parameters["allow_list"])
    said = {"outcome": parameters["outcome"], "note": parameters["note"], "boot_id": boot_id}
    document = parameters["document"]
    if document is not None:
        said["status" if document.get("schema") == "seamstep/status/v1" else "run"] = document
    return ledger.record(fleet.report(host, lease, **said))


if __name__ == "__main__":
    main()
