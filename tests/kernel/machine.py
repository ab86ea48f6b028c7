"""A machine with a real kernel: what it is made of, and how it is started."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
ROOT = CACHE / "root"
DOUBLE = CACHE / "build" / "tdx_host_double.ko"
#: What the initramfs needs to reach the host's files; everything else is in Debian's kernel itself.
MODULES = ("9pnet_virtio", "9p", "overlay")
QEMU = "qemu-system-x86_64"
#: Sapphire Rapids.
CPU = "max,family=6,model=143,stepping=8"


class MissingError(Exception):
    """Something that the machine is made of is not there; says what and how to get it."""


def prepared() -> str:
    """The release of the kernel to boot, with the module built for it.

    Raises:
        MissingError: there is none, or no QEMU.
    """
    if not shutil.which(QEMU):
        raise MissingError(f"{QEMU} is missing: apt-get install --no-install-recommends qemu-system-x86")
    if not (ROOT / "release").exists():
        raise MissingError("no kernel to boot: tests/kernel/prepare fetches one (125 MB) from Debian's archive")
    built = subprocess.run([HERE / "prepare"], capture_output=True, text=True, check=False)
    if built.returncode:
        raise MissingError(f"tests/kernel/prepare failed: {built.stderr.strip()}")
    return built.stdout.strip()


def initramfs(release: str) -> Path:
    """A cpio archive with busybox, the few modules that Debian's kernel needs here, and ``init``."""
    files = {"init": (HERE / "init").read_bytes(), "bin/busybox": (ROOT / "bin" / "busybox").read_bytes()}
    order = []
    for name, content in _with_dependencies(MODULES, ROOT / "lib" / "modules" / release / "kernel"):
        files[f"modules/{name}.ko"] = content
        order.append(f"{name}.ko")
    files["modules/order"] = "\n".join(order).encode()
    path = CACHE / "initramfs"
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(b"".join(_cpio(files)))
    fresh.rename(path)
    return path


def command(release: str, run: Iterable[object], *devices: str) -> list[str]:
    """QEMU's command line for a machine that starts ``run`` once it sees the host's files."""
    append = ["console=ttyS0", "panic=-1", "quiet", "mitigations=off", "--", *(str(word) for word in run)]
    share = "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"
    return [
        *(QEMU, "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-m", "1024"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-kernel", str(ROOT / "boot" / f"vmlinuz-{release}"), "-initrd", str(initramfs(release))),
        *("-append", " ".join(append)),
        *("-fsdev", share, "-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        *devices,
    ]


def _with_dependencies(names: Iterable[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    """Modules with their content, each after those that it needs, as their own ``depends=`` says."""
    places = {re.sub(r"\.ko(\.xz)?$", "", path.name): path for path in folder.rglob("*.ko*")}
    done: set[str] = set()

    def visit(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done:
            return
        done.add(name)
        content = places[name].read_bytes()
        content = lzma.decompress(content) if places[name].suffix == ".xz" else content
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in needs[1].decode().split(",") if needs and needs[1] else ():
            yield from visit(other)
        yield name, content

    for name in names:
        yield from visit(name)


def _cpio(files: dict[str, bytes]) -> Iterator[bytes]:
    """The "newc" archive of Linux Documentation/driver-api/early-userspace/buffer-format.rst."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    entries = [*((name, 0o040755, b"") for name in folders), *((name, 0o100755, files[name]) for name in files)]
    for number, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        yield header.ljust(-(-len(header) // 4) * 4, b"\0")
        yield content.ljust(-(-len(content) // 4) * 4, b"\0")
