#!/usr/bin/env python3
"""Coverage-guided fuzzing of the image readers: whatever the bytes, there is an answer, bounded and consistent.

    python tests/fuzz/fuzz_image.py -max_total_time=60 tests/fuzz/corpus/image

Needs atheris (pip install -e '.[fuzz]'). The corpus holds images signed by a key that was thrown away; new inputs that
reach new code are added to it by libFuzzer.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["seamstep"]):
    from seamstep.base.errors import InputError
    from seamstep.image import files, layout, sigstruct, verify
    from seamstep.image.layout import MODULE_OFFSET, SIGSTRUCT_SIZE, SIZE_MAX

NOBODY: frozenset[str] = frozenset()


def one_input(data: bytes) -> None:
    """Every promise that holds for any bytes."""
    content = memoryview(data)
    found = verify.joined(content, NOBODY)
    assert tuple(check.name for check in found) == tuple(verify.CHECKS)
    assert not all(check.ok for check in found), "nobody is trusted, and yet it passes"
    assert all(check.message for check in found if not check.ok)
    structure = layout.of(content)
    if structure.sound:
        assert len(data) <= SIZE_MAX
        assert len(data) == MODULE_OFFSET + len(structure.module)
        assert len(structure.sigstruct) == SIGSTRUCT_SIZE
        assert len(sigstruct.parse(bytes(structure.sigstruct)).cpuid) <= sigstruct.CPUID_TABLE_MAX
        for form in ("2.0", "1.0"):
            again = layout.of(memoryview(files.repack("x", content, None, form)))
            assert again.sound
            assert (again.sigstruct, again.module) == (structure.sigstruct, structure.module)
    else:
        try:
            files.repack("x", content, None, "2.0")
        except InputError:
            pass
        else:
            raise AssertionError("an image that is not sound was repacked")
    verify.separate(content[:SIGSTRUCT_SIZE], content[SIGSTRUCT_SIZE:], NOBODY)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
