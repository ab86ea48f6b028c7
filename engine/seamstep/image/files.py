"""Images in files.

Only the needed part of a file is read: header and sigstruct for the fields, every byte once for digests and
verification, which are computed on first use. Files are not memory-mapped: a file that shrinks under a mapping kills
the process (docs/adr/0007).
"""

from __future__ import annotations

import hashlib
import os

from seamstep.base.documents import open_regular, read_regular, unreadable
from seamstep.base.errors import InputError, Problem
from seamstep.domain.model import INTEL_SIGNER, Check, Image, Verification
from seamstep.image import layout, sigstruct, verify
from seamstep.image.layout import MODULE_OFFSET, SEPARATE, SIGSTRUCT_SIZE, SIZE_MAX
from seamstep.image.pack import pack

_WHAT = "TDX module image"
TRUSTED = frozenset({INTEL_SIGNER})
MODULE_SUFFIX, SIGSTRUCT_SUFFIX = ".bin", ".sigstruct"


def whole(path: str, *, links: bool = False) -> memoryview:
    """The whole content of an image's file, copied to memory so that it can't change during the checks. ``links`` is
    whether ``path`` may be a symbolic link, as one that the user named; an image that was found in a folder may not.

    Raises:
        InputError: unreadable, not a regular file, empty, or larger than any image.
    """
    return memoryview(read_regular(path, SIZE_MAX, _WHAT, links=links))


class _Head:
    """The size of a file, and its first MODULE_OFFSET bytes, which hold header and sigstruct."""

    def __init__(self, path: str, *, links: bool) -> None:
        try:
            descriptor = open_regular(path, links=links)
            try:
                self.size = os.fstat(descriptor).st_size
                self.content = os.pread(descriptor, MODULE_OFFSET, 0)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise unreadable(path, _WHAT, error) from None
        if not 0 < self.size <= SIZE_MAX:
            raise InputError(Problem(path, f"can't read the {_WHAT}: {self.size} bytes; expected 1 to {SIZE_MAX}"))


class ImageFiles:
    """The bytes of one image in a joined file, or in a file for the module and one for the sigstruct.

    ``signed`` is the sigstruct from which the image's fields were read. A file with another sigstruct fails
    verification. ``links`` is whether the files may be symbolic links.
    """

    def __init__(
        self, path: str, sigstruct_path: str | None, signed: bytes, trusted: frozenset[str], *, links: bool
    ) -> None:
        self._path = path
        self._sigstruct_path = sigstruct_path
        self._signed = signed
        self._trusted = trusted
        self._links = links
        self._verification: Verification | None = None
        self._verified = b""

    def verification(self) -> Verification:
        """All checks and the file's digest, of the same bytes; computed once."""
        if self._verification is None:
            try:
                self._verification = self._verify(*self._read())
            except InputError as error:
                self._verification = Verification((Check("format", False, str(error)),), "")
        return self._verification

    def sha256_as(self, format_: str) -> str:
        """The SHA-256 in hex of the image in ``format_``, made from the bytes that were verified.

        Raises:
            InputError: unreadable, not sound, not verified yet, or changed since.
        """
        content, signed = self._read()
        if self._digest(content, signed) != self._verified:
            raise InputError(Problem(self._path, "the file changed while it was read"))
        return hashlib.sha256(repack(self._path, content, signed, format_)).hexdigest()

    def _read(self) -> tuple[memoryview, memoryview | None]:
        signed = whole(self._sigstruct_path, links=self._links) if self._sigstruct_path else None
        return whole(self._path, links=self._links), signed

    @staticmethod
    def _digest(content: memoryview, signed: memoryview | None) -> bytes:
        return hashlib.sha256(content).digest() + hashlib.sha256(signed or b"").digest()

    def _verify(self, content: memoryview, signed: memoryview | None) -> Verification:
        digest = self._digest(content, signed)
        sha256 = digest[: hashlib.sha256().digest_size].hex()
        now = layout.of(content).sigstruct if signed is None else signed
        if now != self._signed:
            return Verification((Check("format", False, "the file changed while it was read"),), sha256)
        self._verified = digest
        return Verification(verify.all_checks(content, signed, self._trusted), sha256)


def examine(
    path: str, trusted: frozenset[str] = TRUSTED, *, links: bool = False
) -> tuple[tuple[Check, ...], bool | None]:
    """All checks of the image in a file, however broken, and whether it is a debug module (None if there is no whole
    sigstruct). Paths of ``.bin`` and ``.sigstruct``, and symbolic links, are read as in :func:`read`.

    Raises:
        InputError: unreadable.
    """
    stem = _stem(path)
    if stem != path:
        content, signed = whole(stem + MODULE_SUFFIX, links=links), whole(stem + SIGSTRUCT_SUFFIX, links=links)
        found = verify.separate(signed, content, trusted)
    else:
        content = whole(path, links=links)
        signed = layout.of(content).sigstruct
        found = verify.joined(content, trusted)
    return found, sigstruct.parse(bytes(signed)).debug if len(signed) == SIGSTRUCT_SIZE else None


def packed(image: Image, format_: str) -> bytes:
    """The bytes of an image in ``format_``; its files may be symbolic links.

    Raises:
        InputError: unreadable, or a check fails. The check of the signer is left out, since an image of an unknown
            signer can be converted too.
    """
    content = whole(image.path, links=True)
    signed = whole(image.sigstruct_path, links=True) if image.sigstruct_path else None
    signer = frozenset({image.sigstruct.signer})
    failed = [check for check in verify.all_checks(content, signed, signer) if not check.ok]
    if failed:
        raise InputError(Problem(image.path, f"{check.name}: {check.message}") for check in failed)
    return repack(image.path, content, signed, format_)


def _stem(path: str) -> str:
    """The path without the suffix of a separate file; the path itself for any other."""
    for suffix in (MODULE_SUFFIX, SIGSTRUCT_SUFFIX):
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return path


def repack(path: str, content: memoryview, signed: memoryview | None, format_: str) -> bytes:
    """The bytes of an image in ``format_``, unchanged if it has that format already.

    Args:
        path: the name of the image in errors.
        content: the file of the image or module.
        signed: the file of the sigstruct, if it has one of its own.
        format_: ``2.0`` or ``1.0``.

    Raises:
        InputError: the structure is not sound.
    """
    if signed is None:
        structure = _sound(path, content)
        if structure.format == format_:
            return as_bytes(content)
        content, signed = structure.module, structure.sigstruct
    try:
        return pack(signed, content, format_)
    except ValueError as error:
        raise InputError(Problem(path, str(error))) from None


def as_bytes(content: memoryview) -> bytes:
    """The bytes of a view, without a copy if the view is of a whole bytes object."""
    shown = content.obj
    return shown if isinstance(shown, bytes) and len(shown) == len(content) else bytes(content)


def _sound(path: str, content: memoryview) -> layout.Structure:
    structure = layout.of(content)
    if not structure.sound:
        raise InputError(Problem(path, check.message) for check in structure.checks if check.ok is False)
    return structure


def read(path: str, trusted: frozenset[str] = TRUSTED, *, links: bool = False) -> Image:
    """The image in a file. For a ``.bin`` or ``.sigstruct`` the other of the two is read from the same folder.
    ``links`` is whether the files may be symbolic links, as one that the user named; an image that was found in a
    folder may not.

    Raises:
        InputError: unreadable, or its structure is not sound; lists every problem.
    """
    stem = _stem(path)
    if stem != path:
        return read_separate(stem + MODULE_SUFFIX, stem + SIGSTRUCT_SUFFIX, trusted, links=links)
    head = _Head(path, links=links)
    structure = layout.of(memoryview(head.content), head.size)
    if not structure.sound:
        raise InputError(Problem(path, check.message) for check in structure.checks if check.ok is False)
    return Image(
        path=path,
        sigstruct_path=None,
        format=structure.format or "",
        size=head.size,
        module_size=head.size - MODULE_OFFSET,
        sigstruct=sigstruct.parse(bytes(structure.sigstruct)),
        content=ImageFiles(path, None, bytes(structure.sigstruct), trusted, links=links),
    )


def read_separate(path: str, sigstruct_path: str, trusted: frozenset[str] = TRUSTED, *, links: bool = False) -> Image:
    """The image in a module's file and a sigstruct's file. Raises InputError, and follows links, as :func:`read`
    does."""
    module, signed = _Head(path, links=links), _Head(sigstruct_path, links=links)
    problem = layout.module_size_problem(module.size)
    if problem:
        raise InputError(Problem(path, problem))
    if signed.size != SIGSTRUCT_SIZE:
        raise InputError(Problem(sigstruct_path, layout.sigstruct_size_problem(signed.size) or ""))
    return Image(
        path=path,
        sigstruct_path=sigstruct_path,
        format=SEPARATE,
        size=module.size + signed.size,
        module_size=module.size,
        sigstruct=sigstruct.parse(signed.content),
        content=ImageFiles(path, sigstruct_path, signed.content, trusted, links=links),
    )
