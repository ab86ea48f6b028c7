"""The configuration of a host: its catalog, its policies, who begins updates, and the notification of their end.

The file is /etc/seamstep/config.yaml, and all of its keys have defaults, as the file itself has. It stands for the
options that a caller would give otherwise, so its paths mean what they mean in options: they are paths of the machine
that runs seamstep, whatever ``--sysroot`` is. ``schemas/config.schema.json`` describes the keys.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base import places
from seamstep.base.documents import read_regular
from seamstep.base.errors import InputError, Problem, RefusedError, in_reading_order
from seamstep.base.ownership import others_can_change

if TYPE_CHECKING:
    from seamstep.base.documents import Document
    from seamstep.run.hold import Hold

SERVICE, ROLLOUT = "service", "rollout"
_SIZE_LIMIT = 64 << 10
#: Other words for the keys, for the hints on unknown keys.
_SYNONYMS = {
    "catalog": ("image", "mapping", "release", "folder", "dir", "seamstep_catalog"),
    "policies": ("policy", "layer", "rule", "seamstep_policy"),
    "max_hops": ("hop", "limit", "maximum_hop"),
    "updates": ("update", "mode", "by", "decide", "who", "rollout", "service"),
    "hold": ("held", "freeze", "pause", "reason"),
    "tcb_info": ("tcb", "tcbinfo", "advisory"),
    "notification": ("notify", "notifier", "mail", "alert", "hook", "on_failure"),
    "notification.on": ("outcome", "when", "event"),
    "notification.command": ("argv", "exec", "run", "program", "cmd"),
    "notification.unit": ("service", "start", "systemd"),
}


class Notification(NamedTuple):
    """The notification of the end of a run of the service.

    Attributes:
        on: the outcomes that it is sent for.
        command: the command and its arguments; empty if a unit is started.
        unit: the name of a systemd service; empty if a command is run.
    """

    on: frozenset[str]
    command: tuple[str, ...] = ()
    unit: str = ""


class Configuration(NamedTuple):
    """The configuration of a host, with the defaults of the keys that its file does not have.

    Attributes:
        file: the path of the file.
        document: the file's content; None if there is no file.
        catalog: the folder with the catalog.
        policies: the policies, as ``--policy`` takes them.
        max_hops: the most hops of a run of the service; None for no limit.
        updates: who begins updates: SERVICE or ROLLOUT.
        hold: the reason why the host is held; None if it is not.
        tcb_info: the folder with TCB Info documents; None for none.
        notification: the notification of the end of a run; None for none.
    """

    file: str = places.CONFIG
    document: Document | None = None
    catalog: str = places.CATALOG
    policies: tuple[str, ...] = (places.POLICY,)
    max_hops: int | None = None
    updates: str = SERVICE
    hold: str | None = None
    tcb_info: str | None = None
    notification: Notification | None = None

    def says(self, key: str) -> bool:
        """Whether the file has this key, so that its value is no default."""
        return self.document is not None and key in self.document.data

    def origin(self, key: str) -> str:
        """Where the value of a key is from, for people: the file, or that it is the default."""
        return f"from {self.file}" if self.says(key) else "the default"


def load(file: str | None = None, *, trusted: bool = False) -> Configuration:
    """Read the configuration.

    Args:
        file: the path of the file; None for that of this host, which need not exist.
        trusted: whether the file of this host, or that there is none, counts only if root and the user of this process
            alone can change it. A ``file`` that is named counts in any case.

    Raises:
        InputError: the file is unreadable or invalid; lists all problems.
        RefusedError: another user can change the file, or put one there, or take it away.
    """
    if trusted and file is None and os.path.isdir(os.path.dirname(places.CONFIG)):
        _require_own(os.path.dirname(places.CONFIG))  # also without a file, or with a link: it may be taken away
    if file is None and not os.path.lexists(places.CONFIG):
        return Configuration(places.CONFIG)
    named = file or places.CONFIG
    place = _require_own(places.CONFIG) if trusted and file is None else named
    content = read_regular(place, _SIZE_LIMIT, "configuration", links=place == named)
    return read(content, named)


def _require_own(path: str) -> str:
    """Where ``path`` leads to, which nothing can change but root and the user of this process. Raises RefusedError."""
    place = os.path.realpath(path)
    why = others_can_change(place)
    if why:
        message = f"{places.CONFIG} decides on updates, so only root may be able to change it, and {why}"
        raise RefusedError(f"{message}; nothing was changed")
    return place


def read(content: bytes, file: str) -> Configuration:
    """The configuration in the ``content`` of ``file``. Raises InputError as :func:`load` does."""
    from seamstep.base import resources, yaml_text
    from seamstep.base.validation import check

    document, flaws = yaml_text.examine(content, file)
    schema = resources.schema("config")
    document = document._replace(data=yaml_text.typed(document.data, schema))
    problems = [*check(document, "config", schema, _SYNONYMS), *_contradictions(document)]
    problems = [problem for problem in problems if not flaws.hide(problem.path)] + [*flaws.problems]
    if problems:
        raise InputError(in_reading_order(dict.fromkeys(problems)))
    data = document.data
    return Configuration(
        file=file,
        document=document,
        catalog=data.get("catalog", places.CATALOG),
        policies=tuple(data.get("policies", (places.POLICY,))),
        max_hops=data.get("max_hops"),
        updates=data.get("updates", SERVICE),
        hold=data.get("hold"),
        tcb_info=data.get("tcb_info"),
        notification=_notification(data["notification"]) if "notification" in data else None,
    )


def _contradictions(document: Document) -> list[Problem]:
    """The mistakes that a schema can't express."""
    told = document.data.get("notification")
    if isinstance(told, dict) and ("command" in told) == ("unit" in told):
        both = "command" in told
        message = "has both 'command' and 'unit'; keep one" if both else "needs 'command' or 'unit'"
        return [document.problem(("notification",), message)]
    return []


def _notification(data: dict[str, Any]) -> Notification:
    return Notification(frozenset(data["on"]), tuple(data.get("command", ())), data.get("unit", ""))


def held(folder: str, file: str | None = None) -> Hold | None:
    """The hold on this host: that in the state folder ``folder``, else that of its configuration; None if there is
    none. A configuration that can't be read counts as one, since it may hold the host."""
    from seamstep.run import hold

    found = hold.read(folder)
    if found or (file is None and not os.path.lexists(places.CONFIG)):
        return found
    try:
        return hold_of(load(file))
    except InputError as error:
        return hold.Hold(f"its configuration can't be read, which counts as a hold: {error.problems[0]}")


def hold_of(config: Configuration) -> Hold | None:
    """The hold that the configuration puts on the host; None if it puts none."""
    from seamstep.run.hold import Hold

    return Hold(config.hold, config.file) if config.hold else None
