#!/usr/bin/env python3
"""Coverage-guided fuzzing of one reader of untrusted documents (readers.py).

    python tests/fuzz/fuzz.py policy CORPUS -max_total_time=60

CORPUS is a folder; the reader's seeds are written into it, the inputs that earlier runs kept (kept.py), and inputs that
reach new code. Half of the inputs are
changed as bytes, half as values: a value is replaced, taken out, put in or moved, and the document written anew. Needs
atheris (pip install -e '.[fuzz]').
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris
import kept
from mutations import changed, parsed, pool_of, written

with atheris.instrument_imports(include=["seamstep"]):
    from readers import READERS, Reader


def fuzz(name: str, corpus: Path, options: list[str]) -> None:
    """Fuzz until the time is over; libFuzzer ends the process."""
    reader: Reader = READERS[name]
    contents = list(reader.seeds())
    kept.unpack(name, corpus)
    for number, content in enumerate(contents):
        (corpus / f"seed-{number}").write_bytes(content)
    pool = pool_of(contents, reader.text)
    good = [parsed(content, reader.text) for content in contents if reader.text and reader.read(content)]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        value = None
        if (
            good and rng.random() < 0.6
        ):  # often a document that is accepted: of the others only the first mistake counts
            value = rng.choice(good) if rng.random() < 0.5 else parsed(data, reader.text)
        if value is not None:
            new = written(changed(value, pool, rng), reader.text)
            if len(new) <= max_size:
                return new
        return bytes(atheris.Mutate(data, max_size))

    def one_input(data: bytes) -> None:
        reader.read(data)

    arguments = [sys.argv[0], *options, f"-max_len={reader.length}", str(corpus)]
    atheris.Setup(arguments, one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
