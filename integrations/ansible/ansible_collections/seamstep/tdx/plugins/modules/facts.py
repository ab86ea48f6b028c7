#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: facts
short_description: Read what seamstep knows of a TDX host
version_added: 0.1.0
description:
  - Runs C(seamstep facts) and C(seamstep status) on the host and returns both documents.
  - A fact that can't be read is V(null), with the reason under C(unknown). Nothing is guessed.
  - The task fails only if the host could not be read. A host that lost TDX does not fail it; RV(code) is V(lost) then.
author:
  - The seamstep project (!UNKNOWN)
options:
  report:
    description:
      - A file that O(seamstep.tdx.apply#module:report) wrote. Its document is returned as RV(report).
      - A file that does not exist is no error.
    type: path
extends_documentation_fragment:
  - seamstep.tdx.host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Read the host
  seamstep.tdx.facts:
  register: host

- name: Stop where no update can be made at run time
  ansible.builtin.assert:
    that:
      - host.status.tdx == 'running'
      - host.facts.upload is not none
"""

RETURN = r"""
code:
  description:
    - How the host stands, V(done) if a module runs, V(not-updatable) if there is none, V(lost) if TDX is lost,
      V(unknown) if it is not known which module runs, or how the last run ended.
    - If the task failed, why the host could not be read, V(not-run), V(no-answer), V(invalid) or V(internal).
  returned: always
  type: str
  sample: done
exit_code:
  description: The exit code of C(seamstep status), or of C(seamstep facts) if that failed.
  returned: always
  type: int
  sample: 0
facts:
  description: The facts document, C(seamstep/facts/v1).
  returned: success
  type: dict
status:
  description: The status document, C(seamstep/status/v1).
  returned: success
  type: dict
report:
  description: The document in the file O(report); empty if there is none.
  returned: if O(report) is given
  type: dict
ansible_facts:
  description: RV(facts) and RV(status) under C(seamstep), so that they are host variables.
  returned: success
  type: dict
  contains:
    seamstep:
      description: An object with C(facts) and C(status).
      returned: success
      type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.seamstep.tdx.plugins.module_utils import seamstep


def main():
    module = AnsibleModule(
        argument_spec=dict(report={"type": "path"}, **seamstep.HOST_OPTIONS), supports_check_mode=True
    )
    facts = seamstep.run(seamstep.on_host(module.params, "facts"), timeout=300)
    if facts.exit_code != 0 or not facts.document:
        module.fail_json(**facts.result())
    status = seamstep.status(module.params)
    if status.document.get("schema") != "seamstep/status/v1":
        module.fail_json(**status.result())
    documents = {"facts": facts.document, "status": status.document}
    result = status.result(changed=False, ansible_facts={"seamstep": documents}, **documents)
    if module.params["report"]:
        result["report"], problem = seamstep.read_json(module.params["report"])
        if problem:
            module.warn(problem)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
