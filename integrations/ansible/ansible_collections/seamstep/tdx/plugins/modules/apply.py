#!/usr/bin/python

# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Update the TDX module of a host
version_added: 0.1.0
description:
  - Runs C(seamstep apply --yes) on the host, and reads back which module runs.
  - The task is green only if the host is up to date, or if each hop that was asked for was applied and the version that
    C(seamstep status) reads afterwards is the one that C(apply) reports.
  - In a fleet, hosts are taken in turn by a rollout, see M(seamstep.tdx.step) and the playbook C(seamstep.tdx.rollout).
author:
  - The seamstep project (!UNKNOWN)
options:
  approved:
    description:
      - The C(class_id) of the plan that was approved, or a file on the host with that plan.
      - The host plans again. If its plan is another one, nothing is changed and RV(code) is V(stale).
    type: str
  plan:
    description: A plan on the host that C(seamstep plan -o) wrote, instead of planning now.
    type: path
  max_hops:
    description: Stop after this many hops.
    type: int
  simulate:
    description: Rehearse O(plan) on a simulated host. The host itself is not touched.
    type: bool
    default: false
  retry_failed:
    description: Try steps again that went wrong in this boot.
    type: bool
    default: false
  despite_hold:
    description: Go on although the host is held. That is recorded on the host.
    type: bool
    default: false
  report:
    description:
      - A file on the host to which C(apply) writes its result as well, so that the result outlives the connection.
      - Its folder is made if it is missing. A file that exists is replaced.
    type: path
extends_documentation_fragment:
  - seamstep.tdx.host
  - seamstep.tdx.planning
attributes:
  check_mode:
    support: full
    details: It is C(seamstep apply --dry-run), which does everything up to staging the image and changes nothing.
  diff_mode:
    support: full
    details: It shows the version and the MRSEAM of the module. The host is planned for once more to know these.
"""

EXAMPLES = r"""
- name: Bring the host to the release that the policy wants
  seamstep.tdx.apply:
    catalog: /srv/tdx/catalog
    policy:
      - /etc/seamstep/policy.yaml

- name: Perform one hop of a plan that was approved
  seamstep.tdx.apply:
    catalog: /srv/tdx/catalog
    approved: "{{ class_id }}"
    max_hops: 1
  register: applied
  failed_when: applied.code not in ['done', 'busy']
"""

RETURN = r"""
code:
  description:
    - V(done) if the task is green.
    - If the task failed, why. V(refused), V(invalid), V(not-updatable), V(busy) (try later), V(stale) (another plan
      than the approved one, or the host changed), V(failed) (the old module and its TDs run), V(lost) (TDX is lost),
      V(unknown) (look at the host), V(internal), V(interrupted) (nothing was changed by the hop that was
      interrupted), or V(not-run) (seamstep could not be started).
  returned: always
  type: str
  sample: done
exit_code:
  description: The exit code of C(seamstep apply). It is 0 also where the host reads back otherwise.
  returned: always
  type: int
  sample: 0
before:
  description: The module before the run.
  returned: always
  type: dict
  sample: {"version": "1.5.24", "mrseam": null}
  contains:
    version:
      description: Its version; null if not known.
      returned: always
      type: str
    mrseam:
      description: Its MRSEAM; null unless in check mode or diff mode.
      returned: always
      type: str
after:
  description: The module that runs now; in check mode the one that would.
  returned: always
  type: dict
  sample: {"version": "1.5.34", "mrseam": null}
  contains:
    version:
      description: Its version; null if not known.
      returned: always
      type: str
    mrseam:
      description: Its MRSEAM; null unless in check mode or diff mode.
      returned: always
      type: str
document:
  description:
    - What C(apply) printed, which is what C(seamstep fleet record) takes. C(seamstep/run/v1), C(seamstep/plan/v1) with
      nothing to do, or C(seamstep/error/v1).
    - Where the host reads back otherwise, or C(apply) gave no answer, a C(seamstep/error/v1) with exit code 8 that
      says so.
  returned: always
  type: dict
status:
  description: The status document after the run, C(seamstep/status/v1); empty with O(simulate).
  returned: always
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.seamstep.tdx.plugins.module_utils import seamstep


def arguments_of(parameters, check_mode):
    """The command line."""
    arguments = seamstep.on_host(parameters, "apply") + seamstep.planning(parameters)
    for name, option in (("approved", "--approved"), ("max_hops", "--max-hops")):
        if parameters[name] is not None:
            arguments += [option, str(parameters[name])]
    for name, option in (
        ("simulate", "--simulate"),
        ("retry_failed", "--retry-failed"),
        ("despite_hold", "--despite-hold"),
    ):
        if parameters[name]:
            arguments.append(option)
    if check_mode:
        arguments.append("--dry-run")
    elif parameters["report"]:
        arguments += ["-o", parameters["report"], "--force"]
    arguments.append("--yes")
    return arguments + (["--", parameters["plan"]] if parameters["plan"] else [])


def planned(parameters):
    """The plan that is to be performed; empty if there is none."""
    if parameters["plan"]:
        return seamstep.read_json(parameters["plan"])[0]
    answer = seamstep.run(seamstep.on_host(parameters, "plan") + seamstep.planning(parameters))
    return answer.document if answer.document.get("schema") == "seamstep/plan/v1" else {}


def contradiction(answer, before, after):
    """Why the host does not stand as ``apply`` said that it does; empty if it does."""
    document, version = answer.document, after.get("module_version")
    said = document.get("module_version")
    if document.get("schema") == "seamstep/plan/v1":
        said = (document.get("host") or {}).get("module_version")
    applied = document.get("applied") or []
    if after.get("tdx") != "running" or version is None:
        return "seamstep status does not read a running module"
    if said != version:
        return f"apply says that {said} runs, and seamstep status reads {version}"
    if applied and applied[-1].get("to") != version:
        return "apply says that {} was applied, and seamstep status reads {}".format(applied[-1].get("to"), version)
    if not applied and before and before != version:
        return f"apply says that nothing was applied, and the version was {before} and is {version}"
    return ""


def unknown(answer, status, reason):
    """An answer that says that the outcome is not known."""
    document = {
        "schema": "seamstep/error/v1",
        "exit_code": 8,
        "error": f"{reason}; look at the host",
        "problems": [],
        "boot_id": status.document.get("boot_id"),
    }
    return seamstep.Answer(answer.exit_code, document, "", answer.notes)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            approved={"type": "str"},
            plan={"type": "path"},
            max_hops={"type": "int"},
            simulate={"type": "bool", "default": False},
            retry_failed={"type": "bool", "default": False},
            despite_hold={"type": "bool", "default": False},
            report={"type": "path"},
            **seamstep.HOST_OPTIONS,
            **seamstep.PLANNING_OPTIONS,
        ),
        mutually_exclusive=[*seamstep.PLANNING_EXCLUSIVE, ("plan", "approved")],
        required_one_of=[("catalog", "mapping", "plan")],
        required_if=[("simulate", True, ("plan",))],
        supports_check_mode=True,
    )
    parameters = module.params
    rehearsal = parameters["simulate"]
    nothing = seamstep.Answer(0)
    if parameters["report"] and not module.check_mode:
        make_folder(module, os.path.dirname(parameters["report"]))
    before = nothing if rehearsal else seamstep.status(parameters)
    plan = planned(parameters) if module.check_mode or module._diff else {}
    answer = seamstep.run(arguments_of(parameters, module.check_mode))
    after = nothing if rehearsal or answer.exit_code is None else seamstep.status(parameters)
    module_before = before.document.get("module_version")
    code = answer.code
    if code == seamstep.NO_ANSWER:
        answer, code = unknown(answer, after, answer.problem), "unknown"
    elif code == "done" and not rehearsal:
        reason = contradiction(answer, module_before, after.document)
        if reason:
            answer, code = unknown(answer, after, reason), "unknown"
    module_after, changed = outcome(module, answer, plan, module_before, after.document.get("module_version"))
    measured = seamstep.measurements(plan)
    both = [{"version": version, "mrseam": measured.get(version)} for version in (module_before, module_after)]
    result = answer.result(
        changed=changed and not rehearsal,
        before=both[0],
        after=both[1],
        document=answer.document,
        status=after.document,
    )
    result["code"] = code
    if module._diff:
        result["diff"] = dict(zip(("before", "after"), map(lines, both)))
    if code != "done":
        module.fail_json(**result)
    module.exit_json(**result)


def outcome(module, answer, plan, before, after):
    """The version that runs after the run, or would run after a dry one; and whether that is a change."""
    if module.check_mode and answer.document.get("stopped") == "dry-run":
        path = seamstep.path(plan)
        if path:
            limit = module.params["max_hops"]
            wanted = path[-1] if limit is None else path[min(limit, len(path) - 1)]
            return wanted, True
    applied = answer.document.get("applied")
    return after, bool(applied) or bool(before and after and before != after)


def lines(one):
    """A module in the lines of a diff."""
    return "".join("{}: {}\n".format(key, one[key] if one[key] else "not known") for key in ("version", "mrseam"))


def make_folder(module, folder):
    """Make the folder of reports; its content is for root alone."""
    try:
        os.makedirs(folder or ".", mode=0o700, exist_ok=True)
    except OSError as error:
        module.fail_json(
            msg=f"the folder of the report can't be made: {error}",
            code="invalid",
            exit_code=None,
            changed=False,
            before={},
            after={},
            document={},
            status={},
        )


if __name__ == "__main__":
    main()
