"""The demonstration: facts, plans and an update on a simulated host, with Intel's mapping file and synthetic images."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError
from seamstep.base.resources import PACKAGE
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.demo.synthetic import Signer, synthetic_image
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import SimulatedHost
from seamstep.image import catalog
from seamstep.plan.document import Plan
from seamstep.planning import planner
from seamstep.policy import policy_file
from seamstep.run.executor import Executor, Reporter, RunResult
from seamstep.show import progress
from seamstep.show.text import facts_text

_POLICIES = ("fewest-hops", "shortest-path")
_PHASE_SECONDS = 0.08
_TODAY = date(2026, 1, 1)  # no rule of the shipped policies depends on the date

FACTS = HostFacts(
    hostname="demo-host",
    boot_id="5d0e1f9a-3c1b-4f57-8a55-1b7a0c9e2d10",
    kernel="7.2.0",
    profile="mainline",
    module_version=ModuleVersion("1.5.24"),
    seamldr_version=SeamldrVersion("1.5.02"),
    remaining_updates=5,
    cpu_signatures=(0x806F8,),
    cpus_online="0-223",
    cpus_present="0-223",
    cpu_limits=(),
    running_tds=3,
    simulated=True,
    upload=UploadNode("tdx_module", "idle"),
    cpu_bugs=(),
)


class _Stage:
    """A simulated host with a catalog of synthetic images, and its plans under two of the shipped policies."""

    def __init__(self, folder: Path, *, real_time: bool) -> None:
        self.signers = frozenset({_write_catalog(folder)})
        self.catalog = catalog.load(str(folder / catalog.MAPPING_FILE), str(folder), self.signers)
        modules = {
            release.image.content.verification().sha256: release.version
            for release in self.catalog.releases
            if release.image
        }
        self.host = SimulatedHost(FACTS, modules, real_time=real_time, phase_seconds=_PHASE_SECONDS)
        self.before = read_facts(self.host)
        self.plans = {name: self._plan(name) for name in _POLICIES}

    def _plan(self, name: str) -> Plan:
        chosen = policy_file.load(name, _TODAY).with_signers(self.signers)
        return planner.make_plan(self.catalog.mapping, self.catalog.releases, self.before, chosen, as_of=_TODAY)

    def update(self, reporter: Reporter | None = None) -> RunResult:
        return Executor(self.host, reporter).run(self.plans["shortest-path"])


def _write_catalog(folder: Path) -> str:
    """Write the mapping file and synthetic images of all its releases. Returns the fingerprint of their signer."""
    signer = Signer()
    shipped = Path(PACKAGE, "demo")
    for name in (catalog.MAPPING_FILE, "LICENSE.mapping_file"):
        (folder / name).write_bytes((shipped / name).read_bytes())
    for release in catalog.load(str(folder / catalog.MAPPING_FILE)).releases:
        (folder / f"tdx_module_{release.version}.blob").write_bytes(synthetic_image(release.version, signer))
    return signer.fingerprint


def write_into(folder: Path) -> None:
    """Write the inputs of the demonstration to a new ``folder``, which is removed again if that fails.

    The folder holds ``catalog``, ``facts.json``, and ``signer`` with the fingerprint of the key that signed the images.

    Raises:
        RefusedError: ``folder`` exists.
        InputError: ``folder`` can't be created or written to.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        raise RefusedError(f"{folder} exists; name a folder that does not") from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(str(folder), f"can't make the folder: {error}")) from None
    try:
        (folder / "catalog").mkdir()
        (folder / "signer").write_text(_write_catalog(folder / "catalog") + "\n")
        (folder / "facts.json").write_text(json.dumps(FACTS.to_document(), indent=2) + "\n")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(Problem(str(folder), f"can't write: {error.strerror}")) from None
        raise


def play_quietly() -> dict[str, Any]:
    """Run the demonstration without output or delays, and return a document: facts before, both plans, the result of
    the run, and facts after."""
    with tempfile.TemporaryDirectory(prefix="seamstep-demo-") as folder:
        stage = _Stage(Path(folder), real_time=False)
        result = stage.update()
        return {
            "schema": "seamstep/demo/v1",
            "before": stage.before.to_document(),
            "plans": [dict(plan.document) for plan in stage.plans.values()],
            "state": result.state.value,
            "applied": [{"from": str(hop.source), "to": str(hop.target)} for hop in result.applied],
            "after": read_facts(stage.host).to_document(),
        }


def play(stream: TextIO) -> ExitCode:
    """Show the demonstration on ``stream``, in about a second. Returns the exit code of the update."""
    with tempfile.TemporaryDirectory(prefix="seamstep-demo-") as folder:
        stage = _Stage(Path(folder), real_time=True)
        _say(stream, "1. The host (simulated; nothing on this machine is touched)", facts_text(stage.before))
        _say(stream, "2. The plan under two policies", _side_by_side(stage))
        _say(stream, "3. The update, by the plan of shortest-path", "")
        with progress.reporter(stream, bar=True) as reporter:
            result = stage.update(reporter)
        stream.write(f"\n{result.message}\n\n")
        after = read_facts(stage.host)
        _say(stream, "4. The host afterwards", _changes(stage.before, after))
        return result.exit_code


def _say(stream: TextIO, title: str, text: str) -> None:
    stream.write(f"{title}\n\n" + (f"{text}\n\n" if text else ""))
    stream.flush()


def _side_by_side(stage: _Stage) -> str:
    columns = [_column(plan) for plan in stage.plans.values()]
    width = max(len(line) for line in columns[0]) + 4
    height = max(map(len, columns))
    rows = zip(*(column + [""] * (height - len(column)) for column in columns), strict=True)
    return "\n".join("".join(cell.ljust(width) for cell in row).rstrip() for row in rows)


def _column(plan: Plan) -> list[str]:
    document = plan.document
    lines = [document["policy"]["name"], f"  hops {len(plan.hops)}, cost {document['objective']['cost']}"]
    for hop in document["hops"]:
        outcomes = [verdict["outcome"] for verdict in hop["verdicts"]]
        lines += [
            f"  {hop['from']} → {hop['to']}",
            f"    {outcomes.count('pass')} of {len(outcomes)} rules pass",
        ]
    return lines


def _changes(before: HostFacts, after: HostFacts) -> str:
    return "\n".join([facts_text(after), "", *before.differences(after)])
