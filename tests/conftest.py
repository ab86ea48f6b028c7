"""What the tests share: real data, a way to run the command, and hosts."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from seamstep.base import places
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.cli import main
from seamstep.cli.output import to_json
from seamstep.demo.synthetic import Parts, Signer, synthetic_image, synthetic_module
from seamstep.domain import facts
from seamstep.domain.facts import HostFacts
from seamstep.image import catalog
from seamstep.image.sigstruct import LAYOUT
from seamstep.plan.document import Plan
from seamstep.planning import planner
from seamstep.policy import policy_file
from seamstep.rules import HARD_RULES, AppliedRule
from seamstep.run.judging import Judge

if TYPE_CHECKING:
    from guest import Guest
    from lab import Lab

DATA = Path(__file__).parent / "data"
LATEST = Path(str(resources.files("seamstep") / "demo" / "mapping_file.json"))
FEBRUARY = DATA / "mapping_file-2026-02.json"
FACTS = DATA / "facts-spr.json"
SIGNER = Signer()
DAY = date(2026, 11, 23)
#: Options that make seamstep trust the images of the tests.
TRUST = ("--signer", SIGNER.fingerprint)
TRUSTED = frozenset({SIGNER.fingerprint})
#: Whether to try many more cases where there are many; .ci/run does, with the tests that are marked as thorough.
THOROUGH = bool(os.environ.get("SEAMSTEP_THOROUGH"))
#: What the published sigstructs say.
PUBLISHED = json.loads((DATA / "sigstruct-facts.json").read_text())


# Whoever started the tests may ignore signals, as nohup does, and the executor heeds that. The tests are of the rest.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

# Tests keep what they import and the fixtures they share; to look for cycles among these over and over takes a while.
gc.set_threshold(100_000)

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("seamstep", deadline=None)
hypothesis.settings.load_profile("seamstep")


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]
_SAID: list[str] = []
_STATES = itertools.count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """The number of processes that run the tests: one per CPU for whole folders, as ``-n auto`` in pyproject.toml asks.

    None besides this one for files and tests that are named, which are over before workers have started, for tests on
    a kernel and in a browser, which share one guest or server, and where output is not captured.
    """
    named = [Path(argument.partition("::")[0]) for argument in config.args]
    shared = {"kernel", "browser"} & set(config.option.markexpr.split())
    few = any(path.is_file() for path in named) or getattr(config.option, "lf", False) or config.option.capture == "no"
    return 0 if few or shared else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Gather what the tests of a worker measured."""
    _SAID.extend(line for line in getattr(node, "workeroutput", {}).get("said", ()) if line not in _SAID)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests measured."""
    for line in _SAID:
        terminalreporter.write_line(line)


@pytest.fixture
def say() -> Callable[[str], None]:
    """Have a line printed below the test results."""
    return _SAID.append


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run seamstep in this process."""

    def run_it(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_it


@pytest.fixture(autouse=True)
def _no_state_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the state folder of the machine that it runs on, or reads its configuration."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path_factory.getbasetemp() / f"state-{next(_STATES)}"))
    for name in ("CONFIG", "CATALOG"):  # nor does its configuration matter
        if os.path.lexists(getattr(places, name)):
            monkeypatch.setattr(places, name, str(tmp_path_factory.getbasetemp() / "nowhere"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is such a thing: hundreds of runs wait for the disk at every record."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="seamstep-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def spr() -> HostFacts:
    """The facts of a Sapphire Rapids host that runs 1.5.24 on a mainline kernel."""
    return facts.load(str(FACTS))


def host_like(base: HostFacts, module: str, seamldr: str = "1.5.02", **changes: Any) -> HostFacts:
    """``base`` with another module, P-SEAMLDR, and whatever else."""
    return base._replace(module_version=ModuleVersion(module), seamldr_version=SeamldrVersion(seamldr), **changes)


def write_facts(path: Path, host: HostFacts) -> Path:
    """A facts file."""
    path.write_text(json.dumps(host.to_document()))
    return path


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a made-up image of every release in the latest mapping file, laid out as Intel's repository."""
    folder = tmp_path_factory.mktemp("catalog")
    (folder / catalog.MAPPING_FILE).write_bytes(LATEST.read_bytes())
    for release in catalog.load(str(LATEST)).releases:
        place = folder / "joined_files" / release.version.series
        place.mkdir(parents=True, exist_ok=True)
        (place / f"tdx_module_{release.version}.blob").write_bytes(synthetic_image(release.version, SIGNER))
    return folder


@pytest.fixture
def plan_file(spr: HostFacts, images: Path, tmp_path: Path) -> Path:
    """A file with a plan that can be applied."""
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan_for(spr, images).document))
    return path


def plan_for(host: HostFacts, folder: Path, policy_name: str = "shortest-path", as_of: date = DAY) -> Plan:
    """A plan that can be applied."""
    loaded = catalog.load(str(folder / catalog.MAPPING_FILE), str(folder), TRUSTED)
    chosen = policy_file.load(policy_name, DAY).with_signers(TRUSTED)
    return planner.make_plan(loaded.mapping, loaded.releases, host, chosen, as_of=as_of)


def judge_for(plan: Plan) -> Judge:
    """The hard rules, and the releases and images that the plan was made from."""
    path = plan.document["mapping"]["path"]
    loaded = catalog.load(path, str(Path(path).parent), TRUSTED | plan.signers)
    rules = tuple(AppliedRule(rule()) for rule in HARD_RULES.values())
    return Judge(rules, {release.version: release for release in loaded.releases})


def published_parts(release: dict[str, Any]) -> Parts:
    """The parts of a made-up sigstruct that says what the published one of a release says."""
    pages = json.loads((DATA / "sigstruct-pages.json").read_text())[release["version"]]
    fields = {name: value for name, value in pages.items() if name in LAYOUT}
    return Parts(
        cpuid=tuple(int(signature, 16) for signature in release["cpuid"]),
        seamsvn=int(release["seamsvn"], 16),
        build_date=release["build_date"],
        module_type=int(release["module_type"], 16),
        module_hv=release["module_hv"],
        min_update_hv=release["min_update_hv"],
        no_downgrade=release["no_downgrade"],
        handoff_pages=release["num_handoff_pages"],
        fields=fields | {"reserved": bytes.fromhex(pages["bytes_1000_to_1023"])},
    )


def published_image(release: dict[str, Any]) -> tuple[bytes, bytes]:
    """A sigstruct and a module that mirror a published release, size included."""
    module = synthetic_module(release["version"], release["module_pages"])
    return SIGNER.sigstruct(module, published_parts(release)), module


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests on a kernel, in a browser and in a lab, unless -m asks for them and what they need is there."""
    kinds = (("kernel", _why_without_kernel), ("browser", _why_without_browser), ("fleet", _why_without_lab))
    for marker, why_without in kinds:
        left_out = [item for item in items if item.get_closest_marker(marker)]
        why = why_without(config) if left_out else ""
        if why:
            _SAID.append(f"{len(left_out)} tests on a real {marker} were left out: {why}")
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not item.get_closest_marker(marker)]


def _why_without_kernel(config: pytest.Config) -> str:
    if "kernel" not in config.option.markexpr:
        return "pytest -m kernel runs them"
    if os.environ.get("SEAMSTEP_REQUIRE_KERNEL"):
        return ""
    import machine

    try:
        machine.prepared()
    except machine.MissingError as missing:
        return str(missing)
    return ""


def _why_without_browser(config: pytest.Config) -> str:
    if "browser" not in config.option.markexpr:
        return "pytest -m browser runs them"
    if os.environ.get("SEAMSTEP_REQUIRE_BROWSER"):
        return ""
    import chromium

    return chromium.missing()


def _why_without_lab(config: pytest.Config) -> str:
    if "fleet" not in config.option.markexpr:
        return "pytest -m fleet runs them"
    if os.environ.get("SEAMSTEP_REQUIRE_LAB"):
        return ""
    from fleet import prepare

    return prepare.missing()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Hand on what was measured. To leave out all that was asked for is no failure."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["said"] = _SAID
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and _SAID:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """A guest with a real kernel, booted once for all tests."""
    import machine
    from guest import Guest

    running = Guest(machine.prepared())
    yield running
    running.close()


@pytest.fixture(scope="session")
def lab(guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The guest as a TDX host, with images to install."""
    from lab import Lab

    return Lab(guest, tmp_path_factory.mktemp("lab"))
