# Copyright (c) the seamstep project
# SPDX-License-Identifier: MIT
# MIT License (see LICENSE)

from __future__ import annotations


class ModuleDocFragment:
    """Options of all modules that run seamstep on a host."""

    DOCUMENTATION = r"""
options:
  executable:
    description: The program seamstep on the host, a path or a name that is found in C(PATH).
    type: path
    default: seamstep
  sysroot:
    description: The folder below which the host's files are, for tests and labs. Default is the host itself.
    type: path
  state_dir:
    description: The folder of the journal, the lock and the hold. Default is seamstep's own, V(/var/lib/seamstep).
    type: path
requirements:
  - seamstep on the host
attributes:
  check_mode:
    description: Can run in check mode and return a status prediction without changing the host.
  diff_mode:
    description: Returns details on what has changed, or would change in check mode, when in diff mode.
"""
