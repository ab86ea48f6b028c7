"""A guest that is a TDX host, and what a test does with it: plan, apply, upload by hand, and look."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from guest import Done, Guest

from conftest import LATEST, SIGNER, TRUST
from seamstep.base.documents import Document
from seamstep.cli import main
from seamstep.demo.synthetic import Parts, synthetic_image, synthetic_module
from seamstep.domain import facts
from seamstep.domain.facts import HostFacts
from seamstep.host.base import MAINLINE, MISC_CURRENT, MODULE_VERSION, PROFILES
from seamstep.image import catalog
from seamstep.image.pack import pack

#: The installed command; the guest sees it where it is here.
SEAMSTEP = Path(sys.executable).parent / "seamstep"
STATE = "/var/lib/seamstep"
CPU1 = "/sys/devices/system/cpu/cpu1/online"


def set_running_tds(number: int) -> str:
    """A shell command that lets the misc cgroup count ``number`` TDX key ids in use."""
    return f"echo tdx {number} > {MISC_CURRENT}"


class Seen(NamedTuple):
    """What the kernel says of the host: version (empty if TDX is lost), remaining updates, uploads that were committed,
    and what the upload node reads."""

    version: str
    remaining: str
    uploads: str
    status: str
    error: str
    loading: str


class Lab:
    """One guest, one catalog; a fresh TDX host for each test by :meth:`load`."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest = guest
        self.folder = folder
        self.images = _catalog(folder / "catalog")
        self._numbers = itertools.count()
        self._profile = MAINLINE
        self._environment: dict[str, str] = {}
        self._modules: dict[str, str] = {}
        for release in catalog.load(str(LATEST)).releases:
            self.add_module(str(release.version), synthetic_module(str(release.version)))
        #: An image of 2 MB: staging it takes long enough to be interfered with.
        self.large = self.add_image("1.5.34", "large", pages=496)
        self.load()
        self._facts = facts.read(
            Document("guest", guest.must("seamstep", "facts", "--json").json, "", lambda path: None)
        )

    # -- what there is

    def add_module(self, version: str, module: bytes) -> None:
        """Let P-SEAMLDR know a module, from the next :meth:`load` on."""
        self._modules[hashlib.sha384(module).hexdigest()[:16]] = version

    def add_image(
        self, version: str, name: str, parts: Parts | None = None, pages: int = 4, format_: str = "2.0"
    ) -> Path:
        """A catalog in which ``version`` is another build, ``name``, with these parts."""
        module = synthetic_module(name, pages)
        self.add_module(version, module)
        images = _catalog(self.folder / name.replace(" ", "-"), skip=version)
        path = images / f"tdx_module_{version}.blob"
        parts = parts or Parts(seamsvn=0x100 | int(version[-2:]))
        path.write_bytes(pack(SIGNER.sigstruct(module, parts), module, format_))
        return path

    def load(self, *, running_tds: int = 0, **knobs: Any) -> None:
        """A fresh TDX host, with all CPUs online and no record of earlier runs. Some knobs have defaults here."""
        self._profile = PROFILES[knobs.get("layout", "mainline")]
        modules = ",".join(f"{start}={version}" for start, version in self._modules.items())
        self.guest.must("sh", "-c", f"echo 1 > {CPU1}; rm -rf {STATE}; {set_running_tds(running_tds)}")
        self.guest.load(**({"modules": modules, "remaining_updates": 5} | knobs))

    def facts(self, **changes: Any) -> HostFacts:
        """The facts of a freshly loaded host: 1.5.24, five updates left."""
        return self._facts._replace(**changes)

    # -- what is done

    def plan(self, policy: str = "shortest-path", images: Path | None = None, facts: HostFacts | None = None) -> Path:
        """A saved plan for the guest. Planning is not what is tested here, so it is done on this side."""

        number = next(self._numbers)
        host, plan = self.folder / f"facts-{number}.json", self.folder / f"plan-{number}.json"
        host.write_text(json.dumps((facts or self._facts).to_document()))
        catalog_ = ("--catalog", str(images or self.images), *TRUST)
        assert main(["plan", "--facts", str(host), *catalog_, "--policy", policy, "-o", str(plan)]) == 0
        return plan

    def patient_plan(self) -> Path:
        """A plan of two hops that tries twice more when the host is busy."""
        policy = self.folder / f"patient-{next(self._numbers)}.yaml"
        settings = "apply: {busy: {retries: 2, wait: 1s}}"
        policy.write_text(f"schema: seamstep/policy/v1\nname: patient\npath: shortest-path\n{settings}\n")
        return self.plan(str(policy))

    def apply(self, plan: Path, *prefix: object, meanwhile: str = "") -> Done:
        """``seamstep apply`` in the guest; below ``prefix``, started as a program of its own."""
        command = self.apply_command(plan)
        if prefix:
            return self.guest.run(*prefix, *command)
        return self.guest.run("seamstep", *command[1:], meanwhile=meanwhile, env=self._environment)

    def apply_command(self, plan: Path) -> tuple[str, ...]:
        document = json.loads(plan.read_text())
        layers = document["policy"]["layers"] if document["apply"] else ()
        named = [word for layer in layers for word in ("--policy", layer["path"] or layer["name"])]
        return (str(SEAMSTEP), "apply", str(plan), *named, *TRUST, "--yes", "--json")

    @contextlib.contextmanager
    def running(self, code: Path) -> Iterator[None]:
        """Let :meth:`apply` run the package in another folder."""
        self._environment = {"PYTHONPATH": str(code)}
        yield
        self._environment = {}

    @contextlib.contextmanager
    def command_line(self, words: str) -> Iterator[None]:
        """Let /proc/cmdline read ``words``."""
        self.guest.must("sh", "-c", f"echo {words} > /run/cmdline; mount --bind /run/cmdline /proc/cmdline")
        try:
            yield
        finally:
            self.guest.must("umount", "/proc/cmdline")

    def race(self, plan: Path, file: str, value: str, then: str) -> Done:
        """``seamstep apply``, and as soon as ``file`` of the upload node reads ``value`` the shell commands ``then``,
        with the run as ``$run``."""
        read = f"read value < {self._profile.upload_path}/{file} && kill -0 $run"
        return self.apply(plan, meanwhile=f'value=; until [ "$value" = {value} ]; do {read} || exit; done; {then}')

    def upload(self, image: Path) -> Seen:
        """Upload by hand, without asking anybody, as a careless script would; what came of it."""
        node = self._profile.upload_path
        wait = "while [ $(cat status) != idle ]; do :; done"
        self.guest.must("sh", "-ec", f"cd {node}; echo 1 > loading; cat {image} > data; echo 0 > loading; {wait}")
        return self.seen()

    def seen(self) -> Seen:
        """What the kernel says now."""
        node = self._profile.upload_path
        files = [MODULE_VERSION, self._profile.remaining_updates]
        files += ["/sys/module/tdx_host_double/parameters/uploads"]
        files += [f"{node}/{name}" for name in ("status", "error", "loading")]
        script = "for file in " + " ".join(files) + '; do echo "$(cat $file 2> /dev/null)"; done'
        return Seen(*self.guest.must("sh", "-c", script).out.split("\n")[:6])


def _catalog(folder: Path, skip: str = "") -> Path:
    folder.mkdir()
    (folder / catalog.MAPPING_FILE).write_bytes(LATEST.read_bytes())
    for release in catalog.load(str(LATEST)).releases:
        if str(release.version) != skip:
            (folder / f"tdx_module_{release.version}.blob").write_bytes(synthetic_image(release.version, SIGNER))
    return folder
