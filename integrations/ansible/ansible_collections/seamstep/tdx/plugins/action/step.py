# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

"""One host's turn in a rollout: begin, apply and record in one task."""

from __future__ import annotations

import re
import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.seamstep.tdx.plugins.module_utils import fleet, seamstep

ARGUMENTS = dict(
    mode={"type": "str", "choices": ["update", "look", "watch"], "default": "update"},
    ledger={"type": "path", "required": True},
    fleet_executable={"type": "path", "default": "seamstep"},
    host={"type": "str", "required": True},
    lease={"type": "str"},
    class_id={"type": "str"},
    boot_id={"type": "str"},
    reports={"type": "path", "default": "/var/lib/seamstep/reports"},
    patience={"type": "int", "default": 30},
    **seamstep.HOST_OPTIONS,
    **seamstep.PLANNING_OPTIONS,
)
#: Answers of `begin` that say that the lease is another controller's, or over.
TAKEN = (fleet.ALREADY_BEGUN, "closed", "no-such-lease")
PAUSE = 5


class ActionModule(ActionBase):
    """The task ``seamstep.tdx.step``."""

    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        self._vars = task_vars
        self._args = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            mutually_exclusive=seamstep.PLANNING_EXCLUSIVE,
            required_if=[
                ("mode", "update", ("lease", "class_id")),
                ("mode", "watch", ("boot_id",)),
                ("mode", "update", ("catalog", "mapping"), True),
            ],
        )[1]
        self._args = {key: value for key, value in self._args.items() if value is not None}
        self._ledger = fleet.Ledger(self._args["ledger"], self._args["fleet_executable"])
        on = self._task.delegate_to or task_vars.get("inventory_hostname")
        if on != self._host:
            raise AnsibleActionFail(f"the lease is for {self._host}, and the task is on {on}")
        if not re.fullmatch("[0-9a-f]{4,64}", self._args.get("lease", "0000")):
            raise AnsibleActionFail("lease: not the id of a lease")
        if self._args["mode"] == "look":
            return self._look()
        if self._args["mode"] == "watch":
            return self._watch()
        return self._dry() if self._task.check_mode else self._update()

    # what is done

    def _update(self):
        """Begin, apply, record."""
        seen = self._module("facts", self._of_host())
        if "status" not in seen:
            return self._not_reached(seen)
        asked = self._ledger.begin(self._host, self._lease, seen["status"].get("boot_id"))
        code = fleet.code_of(asked)
        if code in TAKEN:
            return self._result(code="taken", msg=asked.message or code)
        if code == "rebooted":
            return self._failed(code=code, msg=asked.message)
        if code != fleet.BEGUN:
            self._record(self._report(outcome="not-begun", note=asked.message or code))
            return self._failed(code=code, msg=asked.message or code)
        applied = self._module("apply", self._of_apply())
        recorded = self._settle(applied, seen["status"].get("boot_id"))
        return self._after(applied, recorded)

    def _dry(self):
        applied = self._module("apply", self._of_apply())
        applied.update(begun=False, recorded={}, halts=[])
        return applied

    def _look(self):
        """Record how the host stands, unless this is check mode."""
        seen = self._module("facts", dict(self._of_host(), **self._where_report_is()))
        if "status" not in seen:
            return self._failed(code="unreachable", msg=_reason(seen))
        if self._task.check_mode:
            return self._result(code="seen", msg="check mode: nothing was recorded")
        recorded = self._record(*self._of_look(seen))
        return self._result(changed=recorded.exit_code == 0, code="seen", msg=_told(recorded), **_of_record(recorded))

    def _watch(self):
        """Record a host that soaks only if it is not as it was: another boot, no TDX, or not reached."""
        seen = self._module("facts", self._of_host())
        status = seen.get("status") or {}
        if status.get("boot_id") == self._args["boot_id"] and status.get("tdx") == "running":
            return self._result(code="seen", msg="it runs as before")
        if self._task.check_mode:
            return self._result(code="seen", msg="check mode: nothing was recorded")
        what = {"status": status} if status else {"outcome": "unreachable", "note": _reason(seen)}
        recorded = self._record(self._report(**what))
        return self._result(
            changed=recorded.exit_code == 0,
            code="seen" if status else "unreachable",
            msg=_told(recorded),
            **_of_record(recorded),
        )

    # what came of it

    def _settle(self, applied, boot_id):
        """Record what came of an update that was begun."""
        if applied.get("document"):
            return self._record(self._report(run=applied["document"], boot_id=boot_id))
        away = self._record(self._report(outcome="unreachable", note=_reason(applied)))
        for _attempt in range(self._args["patience"] // PAUSE):
            time.sleep(PAUSE)
            seen = self._module("facts", dict(self._of_host(), **self._where_report_is()))
            if seen.get("report"):
                applied.update(code=seamstep.CODES.get(seen["report"].get("exit_code"), "unknown"), unreachable=False)
                return self._record(*self._of_look(seen))
        return away

    def _of_look(self, seen):
        """The reports of a look: the result of the last lease if the host has it, and how the host stands now."""
        result = [self._report(run=seen["report"])] if seen.get("report") else []
        return [*result, self._report(status=seen["status"])]

    def _not_reached(self, seen):
        """Nothing was begun: the lease is given back, and the host is away until it is seen again."""
        note = _reason(seen)
        recorded = self._record(
            self._report(outcome="not-begun", note=note), fleet.report(self._host, outcome="unreachable", note=note)
        )
        return self._failed(code="unreachable", msg=note, **_of_record(recorded))

    def _after(self, applied, recorded):
        """The result of a step that was begun."""
        told = _of_record(recorded)
        kept = {
            key: applied[key] for key in ("before", "after", "exit_code", "msg", "problems", "diff") if key in applied
        }
        kept.update(told, begun=True, changed=applied.get("changed", False))
        code = applied.get("code") or ("unreachable" if applied.get("unreachable") else "unknown")
        kept["msg"] = kept.get("msg") or _reason(applied)
        if recorded.exit_code != 0:
            return self._failed(**dict(kept, code=fleet.code_of(recorded), msg=_told(recorded)))
        if code != "done":
            return self._failed(**dict(kept, code=code))
        return self._result(**dict(kept, code=code))

    # parts

    @property
    def _host(self):
        return self._args["host"]

    @property
    def _lease(self):
        return self._args["lease"]

    def _report(self, **said):
        said = {key: value[: seamstep.TEXT_MAX // 2] if key == "note" else value for key, value in said.items()}
        if said.get("boot_id") and (said.get("run") or {}).get("boot_id"):
            said["boot_id"] = None  # the document's own counts
        return fleet.report(self._host, self._args.get("lease"), **said)

    def _record(self, *reports):
        return self._ledger.record(*reports)

    def _of_host(self):
        return {name: self._args[name] for name in seamstep.HOST_OPTIONS if name in self._args}

    def _where_report_is(self):
        lease = self._args.get("lease")
        return {"report": "{}/{}.json".format(self._args["reports"], lease)} if lease else {}

    def _of_apply(self):
        planning = {name: self._args[name] for name in seamstep.PLANNING_OPTIONS if name in self._args}
        approved = {"approved": self._args["class_id"], "max_hops": 1}
        return dict(self._of_host(), **planning, **approved, **self._where_report_is())

    def _module(self, name, arguments):
        """The result of a module on the host; with ``unreachable`` if the host is not reached."""
        if self._host not in self._vars.get("groups", {}).get("all", ()):
            return {"unreachable": True, "msg": "it is not in the inventory"}
        try:
            return self._execute_module(module_name="seamstep.tdx." + name, module_args=arguments, task_vars=self._vars)
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}
        except AnsibleError as error:
            return {"msg": str(error)}

    def _result(self, **found):
        return dict({"changed": False, "begun": False, "recorded": {}, "halts": []}, **found)

    def _failed(self, **found):
        return self._result(failed=True, **found)


def _reason(result):
    """Why a module has no answer."""
    told = result.get("msg") or result.get("module_stderr") or "no answer"
    return seamstep.short("{}{}".format("not reached: " if result.get("unreachable") else "", str(told).strip()))


def _of_record(recorded):
    return {"recorded": recorded.document, "halts": recorded.document.get("halts") or []}


def _told(recorded):
    """The words of the core on the reports."""
    results = recorded.document.get("results") or []
    told = [
        "{}: {}".format(one.get("phase") or one.get("code"), one.get("reason")) for one in results if "reason" in one
    ]
    return seamstep.short("; ".join(told) or recorded.message or fleet.code_of(recorded))
