"""harden.py FILE: let the one-file build FILE read no settings but those of the environment.

PEX reads ``.pexrc`` in HOME and in the folder of the file, which may belong to another user than the one who runs it,
and does what that file says: it may name the folder to unpack to, or other code to run. No option of pex turns this off
for the file that it makes, so the file itself begins with it. The same input gives the same bytes.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

_BEGIN = "\nimport os\nimport sys\n"
_SET = '\nos.environ["PEX_IGNORE_RCFILES"] = "true"  # no settings of the owner of HOME, or of a folder\n'


def main(file: Path) -> None:
    """Change the file in its place."""
    content = file.read_bytes()
    shebang = content[: content.index(b"\n") + 1]
    if not shebang.startswith(b"#!"):
        raise SystemExit(f"{file} has no first line that names an interpreter")
    made = file.with_suffix(".new")
    with zipfile.ZipFile(file) as before, made.open("wb") as out:
        out.write(shebang)
        with zipfile.ZipFile(out, "w") as after:
            for entry in before.infolist():
                data = before.read(entry)
                if entry.filename == "__main__.py":
                    data = _hardened(data.decode()).encode()
                after.writestr(entry, data)
    made.chmod(0o755)
    made.replace(file)


def _hardened(text: str) -> str:
    if text.count(_BEGIN) != 1:
        raise SystemExit("this version of pex begins its files otherwise; see packaging/onefile/harden.py")
    return text.replace(_BEGIN, _BEGIN + _SET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
