"""Every code of the linter, in one explicit table."""

from __future__ import annotations

from seamstep.analysis.lint import (
    check_compat,
    check_features,
    check_images,
    check_reach,
    check_releases,
    check_tcb,
    check_text,
    settings,
)
from seamstep.analysis.lint.findings import Code

_CHECKS = (check_text, check_releases, check_compat, check_features, check_reach, check_images, check_tcb)
#: Every code by its name.
CODES: dict[str, Code] = {code.name: code for module in (*_CHECKS, settings) for code in module.CODES}
