#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: hold
short_description: Keep a TDX host from being updated, or release it
version_added: 0.1.0
description:
  - Runs C(seamstep hold) on the host. While it is held no update begins, whatever asks for one.
  - A hold that is there is kept as it is, also if its reason is another one. O(replace) replaces it.
author:
  - The seamstep project (!UNKNOWN)
options:
  state:
    description: V(held) or V(released).
    type: str
    choices: [held, released]
    default: held
  reason:
    description:
      - Why the host is held. Needed with O(state=held).
      - With O(state=released), only a hold with this very reason is released; the task fails if there is another.
    type: str
  by:
    description: Who holds or releases the host.
    type: str
  replace:
    description: Replace a hold of another reason.
    type: bool
    default: false
extends_documentation_fragment:
  - seamstep.tdx.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Hold the host during the work on its rack
  seamstep.tdx.hold:
    reason: work on the rack
    by: "{{ lookup('ansible.builtin.env', 'USER') }}"

- name: Release it, unless it was held for something else
  seamstep.tdx.hold:
    state: released
    reason: work on the rack
"""

RETURN = r"""
code:
  description:
    - V(done) if the host is as O(state) says.
    - If the task failed, why. V(other-hold) (the host is held for another reason), V(refused), V(invalid), V(internal),
      V(interrupted), V(not-run) or V(no-answer).
  returned: always
  type: str
  sample: done
exit_code:
  description: The exit code of C(seamstep hold).
  returned: always
  type: int
  sample: 0
hold:
  description: The hold that there is now, an object with C(reason), C(by) and C(since); null if there is none.
  returned: always
  type: dict
before:
  description: The hold that there was; null if there was none.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.seamstep.tdx.plugins.module_utils import seamstep


def asked(module, *more):
    """The document of ``seamstep hold``; ends the module if there is none."""
    answer = seamstep.run(seamstep.on_host(module.params, "hold") + list(more), timeout=300)
    if answer.exit_code != 0 or not answer.document:
        module.fail_json(**answer.result(hold=None, before=None))
    return answer.document


def lines(hold):
    """A hold in the lines of a diff."""
    return "held: {}\nby: {}\n".format(hold.get("reason"), hold.get("by")) if hold else "released\n"


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state={"type": "str", "choices": ["held", "released"], "default": "held"},
            reason={"type": "str"},
            by={"type": "str"},
            replace={"type": "bool", "default": False},
            **seamstep.HOST_OPTIONS,
        ),
        required_if=[("state", "held", ("reason",))],
        supports_check_mode=True,
    )
    state, reason, by = (module.params[name] for name in ("state", "reason", "by"))
    before = after = asked(module).get("hold")
    release = state == "released"
    other = bool(before and reason and before.get("reason") != reason)
    if release and other:
        told = "the host is held for another reason: {}".format(before.get("reason"))
        module.fail_json(msg=told, code="other-hold", exit_code=0, hold=before, before=before)
    if release:
        after = None
    elif before is None or (other and module.params["replace"]):
        after = {"reason": reason, "by": by, "since": None}
    changed = before != after
    if changed and not module.check_mode:
        more = ["--release"] if release else ["--reason", reason]
        after = asked(module, *more, *(["--by", by] if by else [])).get("hold")
    result = {"changed": changed, "code": "done", "exit_code": 0, "hold": after, "before": before}
    if module._diff:
        result["diff"] = {"before": lines(before), "after": lines(after)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
