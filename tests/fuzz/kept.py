"""Inputs with which fuzzing reached new code, kept for the next run: one archive for each reader in ``corpus``."""

from __future__ import annotations

import zipfile
from pathlib import Path

_FOLDER = Path(__file__).with_name("corpus")
_MOST = 8192  # bytes of an input; longer ones say little for their size
_ROOT = str(_FOLDER.parents[2])


def unpack(name: str, corpus: Path) -> None:
    """Write the inputs that are kept for a reader into a folder; there may be none."""
    archive = _FOLDER / f"{name}.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as file:
            file.extractall(corpus)


def pack(name: str, corpus: Path) -> None:
    """Keep the inputs in a folder but the seeds. The same inputs make the same archive, wherever the repository lies:
    its path, which seeds have, is replaced, and an input with the rest of a path like that is left out."""
    here, above = _ROOT.encode(), str(Path(_ROOT).parent).encode()
    inputs = [path for path in sorted(corpus.iterdir()) if not path.name.startswith("seed-")]
    with zipfile.ZipFile(_FOLDER / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in inputs:
            content = path.read_bytes().replace(here, b"/repository")
            if len(content) <= _MOST and above not in content:
                file.writestr(zipfile.ZipInfo(path.name), content, zipfile.ZIP_DEFLATED, 9)
