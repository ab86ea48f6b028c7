"""The TCB status of releases: each release with what every document says of its SVN."""

from __future__ import annotations

from collections.abc import Iterable

from seamstep.base.versions import ModuleVersion
from seamstep.domain.model import Release
from seamstep.domain.tcb import Standing, TcbView
from seamstep.image import published


def with_tcb(releases: Iterable[Release], view: TcbView | None) -> tuple[Release, ...]:
    """The releases with their standings; as they are without TCB Info."""
    if view is None:
        return tuple(releases)
    return tuple(release._replace(tcb=standings_of(release, view)) for release in releases)


def standings_of(release: Release, view: TcbView) -> tuple[Standing, ...]:
    """What each document says of a release. Its SVN is that of its verified image, else the published one."""
    image = release.usable_image()
    svn = image.sigstruct.seamsvn if image else published.svn_of(str(release.version))
    if svn is not None:
        return view.standings(svn)
    reason = f"the SVN of {release.version} is not known: {release.why_no_image()}"
    return tuple(Standing(one.fmspc, one.evaluation, "", reason=reason) for one in view.documents)


def running(version: ModuleVersion, releases: Iterable[Release], view: TcbView) -> tuple[Standing, ...]:
    """What each document says of the running module, which may be none of the releases."""
    listed = next((release for release in releases if release.version == version), Release(version))
    return standings_of(listed, view) if listed.tcb is None else listed.tcb
