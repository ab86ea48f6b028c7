#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: step
short_description: One host's turn in a rollout
version_added: 0.1.0
description:
  - Takes one step of a rollout on the host that the task is delegated to, under a lease that M(seamstep.tdx.rollout)
    gave.
  - It reads the boot that the host is in, asks C(seamstep fleet begin) on the controller, runs C(seamstep apply
    --approved CLASS_ID --max-hops 1) on the host, reads back which module runs, and records what came of it on the
    controller. That is one task, so that nothing of the play comes between the word of the core and the host, nor
    between the host and the record.
  - A host that is not reached is recorded as unreachable. If it is lost while the update is under way, it is looked at
    again for a short time. Its result stays on the host, in O(reports), and O(mode=look) records it later.
author:
  - The seamstep project (!UNKNOWN)
options:
  mode:
    description:
      - V(update) takes the step.
      - V(look) begins nothing. It looks at a host that is away, or whose lease another controller began under, and
        records the result of its last lease if the host has it, else its status.
      - V(watch) begins nothing. It looks at a canary that soaks, and records only that it is in another boot than
        O(boot_id), that its TDX does not run, or that it is not reached.
    type: str
    choices: [update, look, watch]
    default: update
  ledger:
    description: The ledger on the controller.
    type: path
    required: true
  fleet_executable:
    description: The program seamstep on the controller.
    type: path
    default: seamstep
  host:
    description: The host's name in the ledger, which is its name in the inventory.
    type: str
    required: true
  lease:
    description: The id of its lease. Needed with O(mode=update).
    type: str
  class_id:
    description: The C(class_id) of the lease. Needed with O(mode=update).
    type: str
  boot_id:
    description: The boot in which the host is thought to be. Needed with O(mode=watch).
    type: str
  reports:
    description: A folder on the host for the results of its leases. It is made if it is missing.
    type: path
    default: /var/lib/seamstep/reports
  patience:
    description: For how many seconds a host that was lost while the update is under way is looked at again.
    type: int
    default: 30
extends_documentation_fragment:
  - seamstep.tdx.host
  - seamstep.tdx.planning
attributes:
  check_mode:
    support: full
    details: The host makes a dry run. Nothing is begun and nothing is recorded.
  diff_mode:
    support: full
requirements:
  - seamstep on the controller
"""

EXAMPLES = r"""
- name: Ask for a host that may begin
  seamstep.tdx.rollout:
    command: next
    ledger: prod.ledger
    limit: 1
  delegate_to: localhost
  register: following

- name: Take its step
  seamstep.tdx.step:
    ledger: prod.ledger
    host: "{{ item.host }}"
    lease: "{{ item.lease }}"
    class_id: "{{ item.class_id }}"
    catalog: /srv/tdx/catalog
    policy:
      - /etc/seamstep/policy.yaml
  loop: "{{ following.leases }}"
  delegate_to: "{{ item.host }}"
  become: true
"""

RETURN = r"""
code:
  description:
    - V(done) if the step was taken, V(seen) if a look was recorded, V(taken) if another controller has the lease.
    - If the task failed, why. V(unreachable), V(rebooted), V(halt) and the other words of C(seamstep fleet begin),
      V(not-believed), or the codes of M(seamstep.tdx.apply).
  returned: always
  type: str
  sample: done
begun:
  description: Whether the update was begun on the host by this task.
  returned: always
  type: bool
before:
  description: The module before, as in RV(seamstep.tdx.apply#module:before).
  returned: if it was begun
  type: dict
after:
  description: The module after, as in RV(seamstep.tdx.apply#module:after).
  returned: if it was begun
  type: dict
recorded:
  description: What C(seamstep fleet record) answered; empty if nothing was recorded.
  returned: always
  type: dict
halts:
  description: The halts that followed from this step.
  returned: always
  type: list
  elements: dict
"""
