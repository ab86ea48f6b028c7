# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

"""Running the command seamstep, and turning its answer into a result. Used on hosts and on the controller."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile

#: The stable code of each exit code of seamstep.
CODES = {
    0: "done",
    1: "refused",
    2: "invalid",
    3: "not-updatable",
    4: "busy",
    5: "stale",
    6: "failed",
    7: "lost",
    8: "unknown",
    10: "update-available",
    70: "internal",
    130: "interrupted",
}
#: The command could not be started.
NOT_RUN = "not-run"
#: The command ended without a readable answer.
NO_ANSWER = "no-answer"

OUTPUT_MAX = 16 << 20
TEXT_MAX = 2000

#: Options of all modules that run seamstep on a host.
HOST_OPTIONS = {
    "executable": {"type": "path", "default": "seamstep"},
    "sysroot": {"type": "path"},
    "state_dir": {"type": "path"},
}
#: Options of those that plan.
PLANNING_OPTIONS = {
    "catalog": {"type": "path"},
    "mapping": {"type": "path"},
    "images": {"type": "path"},
    "policy": {"type": "list", "elements": "str"},
    "target": {"type": "str"},
    "signers": {"type": "list", "elements": "str"},
}
#: What those take together or not at all.
PLANNING_EXCLUSIVE = [("catalog", "mapping"), ("catalog", "images")]


class Answer:
    """What a run of seamstep answered.

    Attributes:
        exit_code: its exit code; negative if a signal ended it; None if it could not be started.
        document: its JSON document; empty if there is none.
        problem: why there is none; empty if there is one.
        notes: what it wrote to standard error.
    """

    def __init__(self, exit_code, document=None, problem="", notes=""):
        self.exit_code = exit_code
        self.document = document if isinstance(document, dict) else {}
        self.problem = problem
        self.notes = notes

    @property
    def code(self):
        """The stable code."""
        if self.exit_code is None:
            return NOT_RUN
        if self.exit_code in CODES and (self.document or self.exit_code == 2):
            return CODES[self.exit_code]
        return NO_ANSWER

    @property
    def message(self):
        """The answer in a sentence; empty if the document has none."""
        for key in ("error", "message", "reason"):
            text = self.document.get(key)
            if isinstance(text, str) and text:
                return short(text)
        return short(self.problem)

    def result(self, **more):
        """The keys that every result has."""
        found = {"code": self.code, "exit_code": self.exit_code, "msg": self.message or self.code}
        problems = self.document.get("problems")
        if self.document.get("schema") == "seamstep/error/v1" and isinstance(problems, list):
            found["problems"] = problems[:100]
        if self.notes:
            found["notes"] = self.notes.splitlines()
        found.update(more)
        return found


def short(text):
    """At most TEXT_MAX characters of ``text``."""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "\u2026"


def parsed(data, limit=OUTPUT_MAX):
    """The JSON object in ``data``, and the reason why there is none."""
    if len(data) > limit:
        return {}, "more than %d bytes" % limit
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON: {short(str(error))}"
    if not isinstance(document, dict):
        return {}, "not a JSON object"
    return document, ""


def run(arguments, stdin=None, timeout=None):
    """Run seamstep without a shell; ``arguments[0]`` is the program. Returns an :class:`Answer`.

    The output goes to files without a name, so that neither a large nor an unread output has an influence on the run.
    With ``timeout`` (seconds) a run that takes longer is killed; no run that updates a host has one.
    """
    told = "{} {}".format(arguments[0], " ".join(arguments[1:3]))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                arguments, input=stdin, stdout=out, stderr=err, timeout=timeout, check=False, **_closed(stdin)
            )
        except subprocess.TimeoutExpired:
            return Answer(-9, problem="%s did not end within %d s" % (told, timeout))
        except (OSError, ValueError) as error:
            return Answer(None, problem=f"{arguments[0]} can't be run: {error}")
        document, problem = parsed(_content(out, OUTPUT_MAX + 1))
        notes = _content(err, TEXT_MAX).decode("utf-8", "replace")
    if problem:
        problem = "%s (exit code %d) gave no answer: %s; %s" % (told, done.returncode, problem, notes.strip())
    return Answer(done.returncode, document, problem, notes)


def _closed(stdin):
    return {} if stdin is not None else {"stdin": subprocess.DEVNULL}


def _content(file, limit):
    file.seek(0)
    return file.read(limit)


def on_host(parameters, *command):
    """The command line of ``command`` on a host, with ``--json``, ``--sysroot`` and ``--state-dir``."""
    arguments = [parameters["executable"], *command, "--json"]
    if parameters.get("sysroot"):
        arguments += ["--sysroot", parameters["sysroot"]]
    if parameters.get("state_dir") and command[0] not in ("facts", "plan"):
        arguments += ["--state-dir", parameters["state_dir"]]
    return arguments


def planning(parameters):
    """The arguments that say what is planned from."""
    arguments = []
    for name in ("catalog", "mapping", "images", "target"):
        if parameters.get(name):
            arguments += ["--" + name, parameters[name]]
    for name, option in (("policy", "--policy"), ("signers", "--signer")):
        for value in parameters.get(name) or ():
            arguments += [option, value]
    return arguments


def status(parameters):
    """How the host stands."""
    return run(on_host(parameters, "status"), timeout=300)


def read_json(path, limit=OUTPUT_MAX):
    """The JSON object in a regular file, and the reason why there is none (empty if the file does not exist)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return parsed(file.read(limit + 1), limit)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} can't be read: {error.strerror}"


def path(plan):
    """The versions of a plan's path, the running one first; empty without hops."""
    hops = plan.get("hops") or []
    return [hops[0]["from"]] + [hop["to"] for hop in hops] if hops else []


def measurements(plan):
    """The MRSEAM of each version on a plan's path, as far as the plan has them."""
    hops = plan.get("hops") or []
    images = [(plan.get("attestation") or {}).get("before")] + [hop.get("image") for hop in hops]
    pairs = zip([plan.get("source")] + [hop["to"] for hop in hops], images)
    return {version: image["mrseam"] for version, image in pairs if image and image.get("mrseam")}
