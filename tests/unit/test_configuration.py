"""The configuration of a host: what commands take from it, and what ``service show`` and ``service check`` say of it.

Which documents are configurations is for tests/cases/*/config.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_host_facts import COMMON, DOUBLE, LAYOUTS, tree

from conftest import DATA, FACTS, LATEST, SIGNER, Ran, Run
from seamstep import service
from seamstep.base import places
from seamstep.base.errors import ExitCode
from seamstep.base.ownership import others_can_change
from seamstep.service import configuration, old_settings

HEAD = "schema: seamstep/config/v1\n"
POLICY = f"""schema: seamstep/policy/v1
name: site
path: shortest-path
signers: [{SIGNER.fingerprint}]
apply:
  windows: [{{days: [sat, sun], from: "01:00", to: "05:00", timezone: Europe/Berlin}}]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of the configuration of this host, where there is no file yet."""
    monkeypatch.setattr(places, "CONFIG", str(tmp_path / "config.yaml"))
    return tmp_path / "config.yaml"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(POLICY)
    return tmp_path / "site.yaml"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The files of a host of the simulation that runs 1.5.24."""
    tree(tmp_path / "host", COMMON, LAYOUTS["mainline"], DOUBLE, {"sys/devices/faux/tdx_host/version": "1.5.24\n"})
    return tmp_path / "host"


# -- the file


def test_the_file_that_ships_leaves_every_key_at_the_default_it_shows() -> None:
    text = service.default_config()
    shipped = configuration.read(text.encode(), "config.yaml")
    assert shipped._replace(document=None) == configuration.Configuration("config.yaml")
    examples = re.sub(r"^#(?! )(.*)", r"\1", text, flags=re.MULTILINE)
    examples = re.sub(r"^#(  (?:on|unit):.*)", r"\1", examples, flags=re.MULTILINE)
    shown = configuration.read(examples.encode(), "config.yaml")
    assert shown.document
    assert set(shown.document.data) == set(configuration_keys())
    assert (shown.catalog, shown.policies, shown.updates) == (shipped.catalog, shipped.policies, shipped.updates)


def configuration_keys() -> list[str]:
    from seamstep.base import resources

    return list(resources.schema("config")["properties"])


# -- what commands take from it


@pytest.mark.parametrize("command", ["plan", "explain", "graph", "report", "status", "measurements", "apply"])
def test_a_host_command_takes_what_is_not_named(
    run: Run, config: Path, policy: Path, host: Path, images: Path, tmp_path: Path, command: str
) -> None:
    config.write_text(f"{HEAD}catalog: {images}\npolicies: [{policy}]\n")
    where = () if command == "measurements" else ("--sysroot", host)
    more = ("--dry-run",) if command == "apply" else ()
    into = ("-o", tmp_path / "out.html") if command == "report" else ()
    ran = run(command, *where, *more, *into)
    assert f"seamstep: note: catalog {images} (from {config})\n" in ran.err
    assert (f"policies {policy} (from {config})\n" in ran.err) == (command != "measurements")
    assert ran.code in ({ExitCode.NO} if command == "measurements" else {ExitCode.DONE, ExitCode.BUSY})


def test_named_inputs_precede_it(run: Run, config: Path, host: Path, images: Path) -> None:
    config.write_text(f"{HEAD}catalog: /nowhere\npolicies: [cautious]\n")
    planned = run("plan", "--sysroot", host, "--catalog", images, "--policy", "fewest-hops", "--json")
    assert (planned.json["policy"]["name"], planned.err) == ("fewest-hops", "")
    planned = run("plan", "--sysroot", host, "--mapping", LATEST, "--without-images", "--json")
    assert planned.json["policy"]["name"] == "cautious"


def test_facts_from_a_file_are_judged_by_what_is_named_alone(run: Run, config: Path) -> None:
    """A mistake in the configuration of the machine that checks plans is not even seen."""
    config.write_text("no configuration")
    asked = ("plan", "--facts", FACTS, "--without-images", "--json")
    assert run(*asked, "--mapping", LATEST).json["policy"]["name"] == "fewest-hops"
    assert (run(*asked).code, run(*asked[:-1]).err.count("--mapping")) == (2, 2)
    config.write_text(f"{HEAD}policies: [cautious]\n")
    assert run(*asked, "--mapping", LATEST).json["policy"]["name"] == "fewest-hops"
    named = run(*asked, "--mapping", LATEST, "--config", config)
    assert named.json["policy"]["name"] == "cautious"


def test_without_a_file_the_default_catalog_counts_if_it_is_there(
    run: Run, config: Path, host: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CATALOG", str(images))
    ran = run("plan", "--sysroot", host)
    assert f"seamstep: note: catalog {images} (the default)\n" in ran.err
    monkeypatch.setattr(places, "CATALOG", str(images / "none"))
    ran = run("plan", "--sysroot", host)
    assert (ran.code, f"{images}/none is the default" in ran.err) == (2, True)


def test_apply_trusts_no_file_that_others_can_change(
    run: Run, config: Path, policy: Path, host: Path, images: Path
) -> None:
    config.write_text(f"{HEAD}catalog: {images}\npolicies: [{policy}]\n")
    config.chmod(0o666)
    ran = run("apply", "--sysroot", host, "--yes")
    assert (ran.code, f"{config} can be written by others" in ran.err, "1.5.28" in ran.err) == (1, True, False)
    assert run("plan", "--sysroot", host).code == 0, "a plan is a proposal"
    assert run("apply", "--sysroot", host, "--dry-run", "--config", config).code in {0, 4}, "the caller names it"


@pytest.mark.parametrize("there", ["nothing", "a link"])
def test_apply_trusts_no_folder_that_others_can_change(
    run: Run, host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """Whoever can take the file away, or lead its name elsewhere, decides as well."""
    folder = tmp_path / "etc"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(places, "CONFIG", f"{folder}/config.yaml")
    if there == "a link":
        (tmp_path / "mine.yaml").write_text(HEAD)
        (folder / "config.yaml").symlink_to(tmp_path / "mine.yaml")
    for way in (("--yes", "--configured"), ("--yes", "--mapping", LATEST)):
        ran = run("apply", "--sysroot", host, *way)
        assert (ran.code, f"{folder} can be written by others" in ran.err) == (1, True), ran.err


def test_status_goes_on_where_the_configuration_is_wrong(run: Run, config: Path, host: Path) -> None:
    """The facts are known all the same; what the configuration would say of them is not."""
    config.write_text(f"{HEAD}catalog: /nowhere\n")
    status = ("status", "--sysroot", host)
    shown = run(*status, "--json")
    assert (shown.code, shown.json["module_version"], shown.json["permitted"]) == (0, "1.5.24", None)
    assert "/nowhere/mapping_file.json" in shown.json["unknown"]["permitted"]
    assert "permitted          not known: /nowhere" in run(*status).out
    assert 'seamstep_fact_unknown{fact="permitted"} 1' in run(*status, "--format", "prometheus").out
    config.write_text(f"{HEAD}hold: [x]\n")
    assert "counts as a hold" in run(*status).out
    assert run(*status, "--catalog", "/nowhere").code == 2, "what is named has to be there"


# -- a hold


def test_a_hold_of_the_configuration_is_shown_and_outlives_a_release(
    run: Run, config: Path, host: Path, tmp_path: Path
) -> None:
    config.write_text(f"{HEAD}hold: until Monday\n")
    state = ("--state-dir", tmp_path / "state")
    assert run("status", "--sysroot", host, *state, "--json").json["hold"] == {
        "reason": "until Monday",
        "by": str(config),
        "since": None,
    }
    assert run("hold", *state).out == f"this host is held by {config}: until Monday\n"
    run("hold", *state, "--reason", "mine", "--by", "alice")
    assert "held by alice" in run("hold", *state).out
    assert "but its configuration holds it" in run("hold", *state, "--release").out
    assert run("hold", *state, "--json").json["held"] is True


# -- service show, service check


@pytest.fixture
def root(run: Run, tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root folder of a machine on which all is well."""
    monkeypatch.setattr("seamstep.service.checking.others_can_change", lambda *_: "")
    root = tmp_path / "root"
    for folder in ("usr/bin", "usr/lib/firmware/intel", "etc/systemd/system/multi-user.target.wants"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/seamstep").touch(0o755)
    shutil.copytree(images, root / "usr/lib/firmware/intel/tdx-module", copy_function=os.link)
    (root / "etc/systemd/system/multi-user.target.wants/seamstep.service").symlink_to("/nowhere")
    assert run("service", "install", "--root", root, "--exec", "/usr/bin/seamstep").code == 0
    (root / "etc/seamstep/site.yaml").write_text(POLICY)
    (root / service.CONFIG).write_text(f"{HEAD}policies: [/etc/seamstep/site.yaml]\n")
    return root


def check(run: Run, root: Path) -> Ran:
    return run("service", "check", "--root", root)


def test_where_all_is_well(run: Run, root: Path) -> None:
    (root / "etc/seamstep/site.yaml").write_text(POLICY)
    ran = check(run, root)
    assert (ran.code, [line for line in ran.out.splitlines() if line.startswith("error")]) == (0, [])
    assert run("service", "check", "--root", root, "--json").json["ok"] is True


def test_show_says_what_it_comes_to_and_where_from(run: Run, root: Path) -> None:
    shown = run("service", "show", "--root", root, "--json").json
    assert shown["values"]["policies"] == {"value": ["/etc/seamstep/site.yaml"], "from": "file"}
    assert shown["values"]["catalog"] == {"value": places.CATALOG, "from": "default"}
    assert (shown["policy"]["name"], shown["policy"]["target"]) == ("site", "newest")
    assert shown["window"]["open"] != bool(shown["window"]["opens"])
    assert shown["catalog"]["usable_images"] > 5
    text = run("service", "show", "--root", root).out
    for line in (
        f"catalog        {places.CATALOG} (the default)",
        "windows        sat, sun 01:00 to 05:00 Europe/Berlin",
        "updates        begun by this host's service (the default)",
        "hold           none",
    ):
        assert line in text
    (root / service.CONFIG).write_text(f"{HEAD}hold: until Monday\nupdates: rollout\ncatalog: /nowhere\n")
    text = run("service", "show", "--root", root).out
    assert "hold           until Monday (by " in text
    assert "begun by a rollout; the service only looks (from the file)" in text
    assert "problem        " in text


def spoil_config(root: Path) -> None:
    (root / service.CONFIG).write_text(f"{HEAD}catalogue: /x\nupdates: mine\n")


def spoil_policy(root: Path) -> None:
    (root / "etc/seamstep/site.yaml").write_text(POLICY.replace("shortest-path", "shortest"))


def spoil_image(root: Path) -> None:
    config = root / service.CONFIG
    config.write_text(f"{HEAD}policies: [/etc/seamstep/site.yaml]\ncatalog: /catalog\n")
    catalog = (root / "usr/lib/firmware/intel/tdx-module").resolve()
    (root / "catalog").mkdir()
    (root / "catalog/mapping_file.json").write_bytes((catalog / "mapping_file.json").read_bytes())
    image = next(catalog.rglob("tdx_module_1.5.28.blob"))
    (root / "catalog" / image.name).write_bytes(image.read_bytes()[:-1] + b"\x01")


def drop_catalog(root: Path) -> None:
    shutil.rmtree(root / "usr/lib/firmware/intel/tdx-module")


def name_what_the_service_can_not_see(root: Path) -> None:
    (root / service.CONFIG).write_text(f"{HEAD}policies: [/home/me/p.yaml]\n")
    (root / "home/me").mkdir(parents=True)
    (root / "home/me/p.yaml").write_text(POLICY)


def name_no_program(root: Path) -> None:
    told = "notification: {on: [failed], command: [/usr/bin/mailer]}\n"
    (root / service.CONFIG).write_text(f"{HEAD}policies: [/etc/seamstep/site.yaml]\n{told}tcb_info: /srv/tcb\n")


def name_no_unit(root: Path) -> None:
    told = "notification: {on: [failed], unit: mail@.service}\n"
    (root / service.CONFIG).write_text(f"{HEAD}policies: [/etc/seamstep/site.yaml]\n{told}")


def keep_old_settings(root: Path) -> None:
    (root / old_settings.NAME).write_text("SEAMSTEP_POLICY=cautious\nSEAMSTEP_OPTIONS=--signer x\n")


def keep_the_same_old_settings(root: Path) -> None:
    (root / old_settings.NAME).write_text("SEAMSTEP_POLICY=/etc/seamstep/site.yaml\n")


def keep_old_tcb_info(root: Path) -> None:
    """A document that expired in July 2025."""
    folder = root / "srv/tcb"
    folder.mkdir(parents=True)
    for path in (DATA / "tcb").glob("*-17.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    config = root / service.CONFIG
    config.write_text(config.read_text() + "tcb_info: /srv/tcb\n")


def spoil_tcb_info(root: Path) -> None:
    keep_old_tcb_info(root)
    next((root / "srv/tcb").glob("*.pem")).write_text("x")


def go_by_spoilt_tcb_info(root: Path) -> None:
    spoil_tcb_info(root)
    go_by_tcb_info(root)


def go_by_tcb_info(root: Path) -> None:
    policy = root / "etc/seamstep/site.yaml"
    policy.write_text(policy.read_text() + "rules: {tcb-status: {level: require, status: UpToDate}}\n")


def drop_unit(root: Path) -> None:
    (root / "usr/lib/systemd/system/seamstep.service").unlink()


def change_unit(root: Path) -> None:
    unit = root / "usr/lib/systemd/system/seamstep.service"
    unit.write_text(unit.read_text().replace("apply --yes --configured", "apply --yes --catalog /x"))


def change_a_little(root: Path) -> None:
    unit = root / "usr/lib/systemd/system/seamstep.timer"
    unit.write_text(unit.read_text() + "# mine\n")


def keep_old_unit(root: Path) -> None:
    text = "[Service]\nEnvironmentFile=/etc/seamstep/seamstep.env\n"
    (root / "usr/lib/systemd/system/seamstep.service").write_text(service.signed(text))


def mask(root: Path) -> None:
    (root / "etc/systemd/system/seamstep.service").symlink_to("/dev/null")


def drop_program(root: Path) -> None:
    (root / "usr/bin/seamstep").unlink()


def disable(root: Path) -> None:
    (root / "etc/systemd/system/multi-user.target.wants/seamstep.service").unlink()


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (spoil_config, 2, "config.yaml:2:1: catalogue: unknown key; did you mean 'catalog'?"),
        (spoil_config, 2, "config.yaml:3:1: updates: 'mine' is not service or rollout"),
        (spoil_policy, 2, "site.yaml:3:1: path: 'shortest' is not"),
        (spoil_image, 1, "tdx_module_1.5.28.blob"),
        (drop_catalog, 2, "mapping_file.json: can't read the mapping file"),
        (name_what_the_service_can_not_see, 1, "/home/me/p.yaml can't be read by the service"),
        (name_no_program, 1, "/usr/bin/mailer is no program"),
        (name_no_program, 1, "config.yaml:4:1: tcb_info: /srv/tcb is not a folder"),
        (keep_old_tcb_info, 0, "the document has expired: its nextUpdate was 2025-07-19; its answer is unknown"),
        (spoil_tcb_info, 0, "chain: expected certificates in PEM and nothing else"),
        (go_by_spoilt_tcb_info, 2, "chain: expected certificates in PEM and nothing else"),
        (go_by_tcb_info, 1, "tcb_info: the policies go by TCB Info, and the configuration names no folder with it"),
        (name_no_unit, 1, "systemd has no unit mail@.service"),
        (keep_old_settings, 1, "says policies: [cautious], while the configuration comes to [/etc/seamstep/site.yaml]"),
        (keep_old_settings, 1, "seamstep.env:2:1: SEAMSTEP_OPTIONS has --signer, which can't be carried over"),
        (keep_the_same_old_settings, 0, "the configuration says the same; remove this file"),
        (drop_unit, 1, "seamstep.service is not installed"),
        (change_unit, 1, "changed by hand, and does not read the configuration"),
        (change_a_little, 0, "seamstep.timer: changed by hand"),
        (keep_old_unit, 1, "seamstep.service: is of another version of seamstep"),
        (mask, 1, "is masked"),
        (drop_program, 1, "runs /usr/bin/seamstep, which is no program"),
        (disable, 0, "neither seamstep.service nor seamstep.timer is enabled"),
    ],
)
def test_each_mistake_is_found(run: Run, root: Path, spoil: Callable[[Path], None], code: int, said: str) -> None:
    spoil(root)
    ran = check(run, root)
    severity = "error: " if code else "warning: "
    assert ran.code == code
    assert any(line.startswith(severity) and said in line for line in ran.out.splitlines()), ran.out


def test_mistakes_of_all_kinds_are_told_at_once(run: Run, root: Path) -> None:
    for spoil in (spoil_policy, drop_catalog, drop_unit, keep_old_settings, disable):
        spoil(root)
    found = run("service", "check", "--root", root, "--json").json
    parts = {finding["part"] for finding in found["findings"] if finding["severity"] == "error"}
    assert (found["ok"], parts) == (False, {"policies", "catalog", "old-settings", "units"})


def test_files_that_others_can_change_are_told(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamstep.service.checking.others_can_change", lambda place, _: f"{place} is another's")
    with (root / service.CONFIG).open("a") as config:
        config.write("notification: {on: [failed], command: [/usr/bin/seamstep]}\n")
    ran = check(run, root)
    assert ran.code == 1
    assert re.search(r"error: configuration: .*config\.yaml is another's", ran.out)
    assert re.search(r"warning: policies: .*site\.yaml is another's", ran.out)
    assert re.search(r"warning: catalog: .* is another's", ran.out)
    assert re.search(r"warning: notification: /usr/bin/seamstep: is run as root, .* is another's", ran.out)


@pytest.mark.parametrize("command", ["show", "check"])
def test_links_in_another_root_stay_in_it(run: Run, root: Path, tmp_path: Path, command: str) -> None:
    """An absolute link in an image means a file of the image; followed as usual, it would show a file of this host."""
    (tmp_path / "secret").write_text("root: $y$hash\n")
    config = root / service.CONFIG
    config.unlink()
    config.symlink_to(tmp_path / "secret")
    ran = run("service", command, "--root", root)
    assert (ran.code, "hash" in ran.out + ran.err) == (2, False)
    assert f"{root}{tmp_path}/secret: can't read the configuration" in ran.out + ran.err
    config.unlink()
    config.symlink_to("/etc/seamstep/mine.yaml")
    (config.parent / "mine.yaml").write_text(f"{HEAD}policies: [/etc/p.yaml]\n")
    (root / "etc/p.yaml").symlink_to("../../../../../etc/seamstep/site.yaml")
    ran = run("service", command, "--root", root)
    assert (ran.code, "policy site" in ran.out) == (0, command == "show")
    config.unlink()
    config.symlink_to("/etc/seamstep/config.yaml")
    assert "too many symbolic links" in run("service", command, "--root", root).err


def test_who_owns_the_folders_above_another_root_does_not_matter(root: Path) -> None:
    root.parent.chmod(0o777)
    assert others_can_change(str(root / service.CONFIG), str(root)) == ""
    assert "can be written by others" in others_can_change(str(root / service.CONFIG))


# -- settings of earlier versions


def test_installing_carries_old_settings_over_once(run: Run, tmp_path: Path) -> None:
    old = tmp_path / old_settings.NAME
    old.parent.mkdir(parents=True)
    text = "# mine\nSEAMSTEP_POLICY=fewest-hops\nSEAMSTEP_CATALOG='/srv/the catalog'\nSEAMSTEP_POLICY=cautious\n"
    old.write_text(f"{text}SEAMSTEP_OPTIONS=--policy /etc/p.yaml --max-hops=2\n")
    ran = run("service", "install", "--root", tmp_path, "--exec", "/usr/bin/seamstep")
    assert (ran.code, "with the settings of etc/seamstep/seamstep.env" in ran.out) == (0, True)
    carried = configuration.load(str(tmp_path / service.CONFIG))
    assert (carried.catalog, carried.policies) == ("/srv/the catalog", ("cautious", "/etc/p.yaml"))
    assert carried.max_hops == 2
    assert old.read_text().startswith(text), "and the file stays"
    old.write_text("SEAMSTEP_POLICY=shortest-path\n")
    ran = run("service", "install", "--root", tmp_path, "--exec", "/usr/bin/seamstep")
    assert (ran.code, "not carried over: " in ran.out, "policies: [shortest-path]" in ran.out) == (0, True, True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('SEAMSTEP_OPTIONS="--policy cautious --max-hops 2"', {"policies": ("cautious",), "max_hops": 2}),
        ("SEAMSTEP_OPTIONS=--policy cautious \\\n  --max-hops 2\n", {"policies": ("cautious",), "max_hops": 2}),
        ("SEAMSTEP_OPTIONS='--policy \"/etc/my policy.yaml\"'", {"policies": ("/etc/my policy.yaml",)}),
        ("SEAMSTEP_CATALOG=/srv/a  b \r\n", {"catalog": "/srv/a  b"}),
        ("# of old \\\nSEAMSTEP_POLICY=cautious", {"policies": ("cautious",)}),
        ("SEAMSTEP_CATALOG=/srv/it's\nSEAMSTEP_POLICY=cautious", {"catalog": "/srv/it's", "policies": ("cautious",)}),
    ],
)
def test_old_settings_are_read_as_systemd_read_them(tmp_path: Path, text: str, found: dict[str, object]) -> None:
    (tmp_path / "old.env").write_text(text)
    old = old_settings.load(str(tmp_path / "old.env"))
    assert old
    assert (old.values, old.unfit) == (found, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SEAMSTEP_POLICY=mine.yaml\n", "policies can't be carried over: ['mine.yaml'] is not"),
        ("SEAMSTEP_OPTIONS=--target 1.5.28\n", "SEAMSTEP_OPTIONS has --target"),
        ("SEAMSTEP_OPTIONS=--max-hops many\n", "max_hops can't be carried over: 'many' is not"),
        ("SEAMSTEP_CATALOG='/srv\n", "SEAMSTEP_CATALOG can't be carried over: No closing quotation"),
        ("LD_PRELOAD=/x\n", "LD_PRELOAD can't be carried over"),
        ("export SEAMSTEP_POLICY\n", "is no assignment"),
        ("\xff", "not UTF-8"),
    ],
)
def test_what_can_not_be_carried_over_stops_the_installation(run: Run, tmp_path: Path, text: str, why: str) -> None:
    old = tmp_path / old_settings.NAME
    old.parent.mkdir(parents=True)
    old.write_bytes(text.encode("latin-1"))
    ran = run("service", "install", "--root", tmp_path, "--exec", "/usr/bin/seamstep")
    assert (ran.code, why.replace("['mine.yaml']", "'mine.yaml'") in ran.err) == (2, True), ran.err
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["seamstep.env"]


@pytest.mark.parametrize("text", ["", "# nothing\n\n; at all\nSEAMSTEP_OPTIONS=\n"])
def test_old_settings_that_say_nothing_are_none(run: Run, root: Path, text: str) -> None:
    (root / old_settings.NAME).write_text(text)
    assert (check(run, root).code, "old-settings" in check(run, root).out) == (0, False)
