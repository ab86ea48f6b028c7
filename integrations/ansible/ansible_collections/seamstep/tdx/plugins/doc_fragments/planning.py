# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that plan."""

    DOCUMENTATION = r"""
options:
  catalog:
    description: A folder on the host with C(mapping_file.json) and, below it, the images.
    type: path
  mapping:
    description: Intel's C(mapping_file.json) on the host, instead of O(catalog).
    type: path
  images:
    description: The folder with images on the host, with O(mapping).
    type: path
  policy:
    description:
      - The policies to go by, files on the host or names of those that ship with seamstep. All have to be satisfied.
      - Default is seamstep's own, V(fewest-hops).
    type: list
    elements: str
  target:
    description: The release to reach instead of the policy's target, such as V(1.5.34) or V(newest).
    type: str
  signers:
    description:
      - Keys to trust besides Intel's, each the SHA-256 of its modulus.
      - Only simulated hosts take them.
    type: list
    elements: str
"""
