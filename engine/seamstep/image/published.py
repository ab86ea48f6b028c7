"""The releases of the published MRSEAMs, and the SVNs of published releases.

An MRSEAM is the only link from an image's content to a version, since no field of an image holds the version. Measured
on the sigstructs of the eleven releases that Intel had published by February 2026. The SVNs of later releases are those
of Intel's release notes and source.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_VERSIONS = {
    "9790d89a10210ec6968a773cee2ca05b5aa97309f36727a968527be4606fc19e6f73acce350946c9d46a9bf7a63f8430": "1.5.01",
    "1cc6a17ab799e9a693fac7536be61c12ee1e0fabada82d0c999e08ccee2aa86de77b0870f558c570e7ffe55d6d47fa04": "1.5.05",
    "5b38e33a6487958b72c3c12a938eaa5e3fd4510c51aeeab58c7d5ecee41d7c436489d6c8e4f92f160b7cad34207b00c1": "1.5.06",
    "49b66faa451d19ebbdbe89371b8daf2b65aa3984ec90110343e9e2eec116af08850fa20e3b1aa9a874d77a65380ee7e6": "1.5.08",
    "bfb360ac8e6233a1bca1433caf7382d95c165b4a77fb00bf1435e5a08f300cdfead5ee68461afd9b6c728dce7534602d": "1.5.09",
    "27b67e0b20508f0acfb8a99df4283a7c86ae569d85d556a91d4eb20e56b5d42d5e65b31a3a6996e8e461f104f32fdeec": "1.5.13",
    "7bf063280e94fb051f5dd7b1fc59ce9aac42bb961df8d44b709c9b0ff87a7b4df648657ba6d1189589feab1d5a3c9a9d": "1.5.16",
    "685f891ea5c20e8fa27b151bf34bf3b50fbaf7143cc53662727cbdb167c0ad8385f1f6f3571539a91e104a1c96d75e04": "2.0.02",
    "64cae497e0c6221176fe8d3bc9d0cf25b4c97bb24cc16499f77102451f15bb24249f1aa3e5d3bf8897be74ad6c84e648": "2.0.04",
    "6f65e570e3bc418d2576f31aada40f7f7ce1ea810f964aa9bc70066a89ac1fc6e0d6b76d3f86a16405172b2c3e078528": "2.0.05",
    "476a2997c62bccc78370913d0a80b956e3721b24272bc66c4d6307ced4be2865c40e26afac75f12df3425b03eb59ea7c": "2.0.08",
}

_SVNS = {
    "1.5.01": 0x104,
    "1.5.05": 0x105,
    "1.5.06": 0x106,
    "1.5.08": 0x107,
    "1.5.09": 0x108,
    "1.5.13": 0x10A,
    "1.5.16": 0x10B,
    "1.5.20": 0x10C,
    "1.5.24": 0x10D,
    "1.5.25": 0x10D,
    "1.5.28": 0x10E,
    "1.5.34": 0x10F,
    "2.0.02": 0x303,
    "2.0.04": 0x304,
    "2.0.05": 0x304,
    "2.0.08": 0x305,
    "2.0.14": 0x307,
    "2.0.18": 0x309,
}


def svn_of(version: str) -> int | None:
    """The raw seamsvn of a published release; None if it is not known here."""
    return _SVNS.get(version)


def version_of(mrseam: str) -> str | None:
    """The release with an MRSEAM (in hex); None if no published release has it."""
    return _VERSIONS.get(mrseam)


def versions() -> Mapping[str, str]:
    """The versions of all published releases by MRSEAM."""
    return MappingProxyType(_VERSIONS)
