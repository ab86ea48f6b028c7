#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Plan the update of a TDX host
version_added: 0.1.0
description:
  - Runs C(seamstep plan) on the host. Nothing is changed.
  - The task fails where there is no permitted path, and where the host itself stands in the way. RV(code) says which.
author:
  - The seamstep project (!UNKNOWN)
options:
  facts:
    description: A facts document of another host, a file on this one, instead of the facts of this host.
    type: path
  without_images:
    description: Leave rules that need an image open. The plan is provisional then.
    type: bool
    default: false
extends_documentation_fragment:
  - seamstep.tdx.host
  - seamstep.tdx.planning
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Plan by the policy of the site
  seamstep.tdx.plan:
    catalog: /srv/tdx/catalog
    policy:
      - /etc/seamstep/policy.yaml
  register: planned

- name: Show the path
  ansible.builtin.debug:
    msg: "{{ planned.path | join(' -> ') }}"
  when: planned.code == 'update-available'
"""

RETURN = r"""
code:
  description:
    - V(update-available), or V(done) if the host is up to date.
    - If the task failed, why. V(refused) (no permitted path), V(invalid), V(not-updatable), V(busy), V(stale), V(lost),
      V(internal), V(interrupted), V(not-run) or V(no-answer).
  returned: always
  type: str
  sample: update-available
exit_code:
  description: The exit code of C(seamstep plan --exit-code).
  returned: always
  type: int
  sample: 10
path:
  description: The running version and the versions of the path, in order; empty without an update.
  returned: always
  type: list
  elements: str
  sample: ["1.5.24", "1.5.28", "1.5.34"]
plan:
  description: The plan document, C(seamstep/plan/v1); empty if none was made.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.seamstep.tdx.plugins.module_utils import seamstep


def main():
    module = AnsibleModule(
        argument_spec=dict(
            facts={"type": "path"},
            without_images={"type": "bool", "default": False},
            **seamstep.HOST_OPTIONS,
            **seamstep.PLANNING_OPTIONS,
        ),
        mutually_exclusive=[*seamstep.PLANNING_EXCLUSIVE, ("facts", "sysroot"), ("images", "without_images")],
        required_one_of=[("catalog", "mapping")],
        supports_check_mode=True,
    )
    parameters = module.params
    arguments = seamstep.on_host(parameters, "plan", "--exit-code") + seamstep.planning(parameters)
    if parameters["facts"]:
        arguments += ["--facts", parameters["facts"]]
    if parameters["without_images"]:
        arguments.append("--without-images")
    answer = seamstep.run(arguments)
    plan = answer.document if answer.document.get("schema") == "seamstep/plan/v1" else {}
    result = answer.result(changed=False, plan=plan, path=seamstep.path(plan))
    if answer.code not in ("done", "update-available"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
