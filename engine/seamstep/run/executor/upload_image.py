"""The bytes that a hop uploads, verified and uploaded from a single read of the file."""

from __future__ import annotations

import hashlib

from seamstep.domain.model import Verification
from seamstep.image import files, layout, sigstruct, verify
from seamstep.plan.document import PlannedImage


def read_for_upload(
    planned: PlannedImage, trusted: frozenset[str], verified: set[tuple[str, str]] | None = None
) -> bytes:
    """Read an image, verify it again, and return the bytes to upload.

    Args:
        planned: the image as the plan describes it.
        trusted: the fingerprints of trusted signers.
        verified: digests of pairs of image and sigstruct that passed all checks with the same ``trusted``; these are
            not verified again, and new ones are added. None verifies always.

    Raises:
        InputError: a file can't be read.
        ValueError: the image is not the planned one, or a check fails.
    """
    content = files.whole(planned.path)
    signed = files.whole(planned.sigstruct) if planned.sigstruct else None
    digests = hashlib.sha256(content).hexdigest(), hashlib.sha256(signed or b"").hexdigest()
    if digests[0] != planned.sha256:
        raise ValueError(f"the image {planned.path} is not the one the plan was made with")
    if verified is None or digests not in verified:
        problems = Verification(verify.all_checks(content, signed, trusted), planned.sha256).problems
        if problems:
            raise ValueError(f"the image {planned.path} is not authentic: {'; '.join(problems)}")
        if verified is not None:
            verified.add(digests)
    says = sigstruct.parse(bytes(signed if signed is not None else layout.of(content).sigstruct))
    if (says.mrseam, says.seamsvn) != (planned.mrseam, planned.seamsvn):
        raise ValueError(f"the image {planned.path} has another MRSEAM or seamsvn than the plan says")
    upload = files.repack(planned.path, content, signed, planned.upload_format)
    if (
        digests[0] if upload == files.as_bytes(content) else hashlib.sha256(upload).hexdigest()
    ) != planned.upload_sha256:
        raise ValueError(f"the image {planned.path} repacks to other bytes than the plan was made with")
    return upload
