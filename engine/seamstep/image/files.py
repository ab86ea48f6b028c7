"""Images in files. A file is memory-mapped and never read further than the question needs: the fields cost a header
and a sigstruct; digests and verification, computed once and when asked for, cost every byte."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat

from seamstep.documents import read_bytes
from seamstep.errors import InputError, Problem
from seamstep.image import layout, sigstruct, verify
from seamstep.image.layout import SEPARATE, SIGSTRUCT_SIZE, SIZE_MAX
from seamstep.image.pack import pack
from seamstep.model import INTEL_SIGNER, Check, Image, Verification
from seamstep.plan import PlannedImage

_WHAT = "TDX module image"
TRUSTED = frozenset({INTEL_SIGNER})
MODULE_SUFFIX, SIGSTRUCT_SUFFIX = ".bin", ".sigstruct"


def mapped(path: str) -> memoryview:
    """The content of a file, memory-mapped and read-only; unmapped with its last slice.

    Raises:
        InputError: unreadable, not a regular file, empty, or larger than any image.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(getattr(error, "strerror", None) or error)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _unreadable(path, "not a regular file")
        if not 0 < found.st_size <= SIZE_MAX:
            raise _unreadable(path, f"{found.st_size} bytes; expected 1 to {SIZE_MAX}")
        return memoryview(mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ))
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error)) from None
    finally:
        os.close(descriptor)


def _unreadable(path: str, reason: str) -> InputError:
    return InputError(Problem(path, f"can't read the {_WHAT}: {reason}"))


class ImageFiles:
    """The bytes of one image: a joined file, or a module and its sigstruct in two.

    ``signed`` is the sigstruct as it was when the image's fields were read."""

    def __init__(self, path: str, sigstruct_path: str | None, signed: bytes, trusted: frozenset[str]) -> None:
        self._path = path
        self._sigstruct_path = sigstruct_path
        self._signed = signed
        self._trusted = trusted
        self._verification: Verification | None = None

    def verification(self) -> Verification:
        """All checks and the file's digest, from one look at every byte; computed once."""
        if self._verification is None:
            try:
                self._verification = self._verify(*self._mapped())
            except InputError as error:
                self._verification = Verification((Check("format", False, str(error)),), "")
        return self._verification

    def sha256_as(self, format_: str) -> str:
        """The SHA-256 in hex of the image in ``format_``, of exactly the bytes that were verified.

        Raises:
            InputError: unreadable, not sound, or changed since it was verified.
        """
        content, signed = self._mapped()
        if hashlib.sha256(content).hexdigest() != self.verification().sha256:
            raise InputError(Problem(self._path, "the file changed while it was read"))
        return hashlib.sha256(repack(self._path, content, signed, format_)).hexdigest()

    def _mapped(self) -> tuple[memoryview, memoryview | None]:
        return mapped(self._path), mapped(self._sigstruct_path) if self._sigstruct_path else None

    def _verify(self, content: memoryview, signed: memoryview | None) -> Verification:
        sha256 = hashlib.sha256(content).hexdigest()
        now = layout.of(content).sigstruct if signed is None else signed
        if now != self._signed:
            return Verification((Check("format", False, "the file changed while it was read"),), sha256)
        return Verification(verify.all_checks(content, signed, self._trusted), sha256)


def checks(path: str, trusted: frozenset[str] = TRUSTED) -> tuple[Check, ...]:
    """All checks of the image in a file, however broken; ``.bin`` and ``.sigstruct`` as in :func:`read`.

    Raises:
        InputError: unreadable.
    """
    stem = _stem(path)
    if stem != path:
        return verify.separate(mapped(stem + SIGSTRUCT_SUFFIX), mapped(stem + MODULE_SUFFIX), trusted)
    return verify.joined(mapped(path), trusted)


def packed(image: Image, format_: str) -> bytes:
    """An image in ``format_``, for writing it to a file.

    Raises:
        InputError: unreadable, or a check fails; whether the signer is trusted does not matter here.
    """
    content = memoryview(bytes(mapped(image.path)))
    signed = memoryview(bytes(mapped(image.sigstruct_path))) if image.sigstruct_path else None
    signer = frozenset({image.sigstruct.signer})
    failed = [check for check in verify.all_checks(content, signed, signer) if not check.ok]
    if failed:
        raise InputError(Problem(image.path, f"{check.name}: {check.message}") for check in failed)
    return repack(image.path, content, signed, format_)


def _stem(path: str) -> str:
    """The path without the suffix of a separate file; the path itself for any other."""
    return path.removesuffix(MODULE_SUFFIX).removesuffix(SIGSTRUCT_SUFFIX)


def repack(path: str, content: memoryview, signed: memoryview | None, format_: str) -> bytes:
    """An image in ``format_``, byte for byte itself if that is its format. ``signed`` is the sigstruct where it comes
    in a file of its own; ``path`` names the image in errors.

    Raises:
        InputError: the structure is not sound.
    """
    if signed is None:
        structure = _sound(path, content)
        if structure.format == format_:
            return bytes(content)
        content, signed = structure.module, structure.sigstruct
    try:
        return pack(signed, content, format_)
    except ValueError as error:
        raise InputError(Problem(path, str(error))) from None


def read_for_upload(planned: PlannedImage, trusted: frozenset[str]) -> bytes:
    """The bytes to upload for a planned image, verified again: what is judged and what is uploaded is one read.

    Raises:
        InputError: unreadable.
        ValueError: not the image that was planned with, or a check fails.
    """
    content = memoryview(read_bytes(planned.path, SIZE_MAX, _WHAT))
    signed = memoryview(read_bytes(planned.sigstruct, SIZE_MAX, _WHAT)) if planned.sigstruct else None
    if hashlib.sha256(content).hexdigest() != planned.sha256:
        raise ValueError(f"the image {planned.path} is not the one the plan was made with")
    problems = Verification(verify.all_checks(content, signed, trusted), planned.sha256).problems
    if problems:
        raise ValueError(f"the image {planned.path} is not authentic: {'; '.join(problems)}")
    upload = repack(planned.path, content, signed, planned.upload_format)
    if hashlib.sha256(upload).hexdigest() != planned.upload_sha256:
        raise ValueError(f"the image {planned.path} repacks to other bytes than the plan was made with")
    return upload


def _sound(path: str, content: memoryview) -> layout.Structure:
    structure = layout.of(content)
    if not structure.sound:
        raise InputError(Problem(path, check.message) for check in structure.checks if check.ok is False)
    return structure


def read(path: str, trusted: frozenset[str] = TRUSTED) -> Image:
    """The image in a file. For a ``.bin`` or ``.sigstruct`` the other of the two is taken from beside it.

    Raises:
        InputError: unreadable, or its structure is not sound; lists every problem.
    """
    stem = _stem(path)
    if stem != path:
        return read_separate(stem + MODULE_SUFFIX, stem + SIGSTRUCT_SUFFIX, trusted)
    content = mapped(path)
    structure = _sound(path, content)
    return Image(
        path=path,
        sigstruct_path=None,
        format=structure.format or "",
        size=len(content),
        module_size=len(structure.module),
        sigstruct=sigstruct.parse(bytes(structure.sigstruct)),
        content=ImageFiles(path, None, bytes(structure.sigstruct), trusted),
    )


def read_separate(path: str, sigstruct_path: str, trusted: frozenset[str] = TRUSTED) -> Image:
    """The image of a module's file and a sigstruct's file. Raises InputError as :func:`read` does."""
    module, signed = mapped(path), mapped(sigstruct_path)
    problem = layout.module_size_problem(len(module))
    if problem:
        raise InputError(Problem(path, problem))
    if len(signed) != SIGSTRUCT_SIZE:
        raise InputError(Problem(sigstruct_path, f"a sigstruct of {len(signed)} bytes; expected {SIGSTRUCT_SIZE}"))
    return Image(
        path=path,
        sigstruct_path=sigstruct_path,
        format=SEPARATE,
        size=len(module) + len(signed),
        module_size=len(module),
        sigstruct=sigstruct.parse(bytes(signed)),
        content=ImageFiles(path, sigstruct_path, bytes(signed), trusted),
    )
