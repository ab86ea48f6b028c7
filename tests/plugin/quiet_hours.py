"""An example of a rule that a package brings: hosts with certain names are left alone."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules import Level, Rule, Scope


class QuietHours(Rule):
    """The host's name does not begin with the prefix that the policy gives."""

    name = "quiet-hours"
    summary = "The host's name does not begin with `prefix`."
    source = "the operations handbook"
    scope = Scope.HOST
    default_level = Level.OFF
    parameters = {
        "prefix": {
            "title": "the beginning of a host name",
            "description": "Hosts that are left alone.",
            "type": "string",
            "minLength": 1,
        }
    }

    def __init__(self, prefix: str) -> None:
        """``prefix``: how the names begin of hosts that are left alone."""
        self._prefix = prefix

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if host.hostname is None:
            return self.lacks(host, "hostname")
        if host.hostname.startswith(self._prefix):
            return self.blocked(f"{host.hostname} is to be left alone", hostname=host.hostname)
        return self.passed(f"{host.hostname} may be updated")
