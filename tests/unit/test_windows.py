"""Maintenance windows: zones, midnight, and the two nights a year when clocks jump."""

from __future__ import annotations

import sys
import zoneinfo
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import plan_for
from seamstep.base.documents import Document
from seamstep.base.errors import InputError
from seamstep.base.zones import zone
from seamstep.domain.facts import HostFacts
from seamstep.plan.document import digest, read, seal
from seamstep.plan.settings import ApplySettings
from seamstep.plan.windows import Window, closed

BERLIN = ZoneInfo("Europe/Berlin")


def window(begin: str, end: str, timezone: str = "UTC", days: list[str] | None = None) -> Window:
    written: dict[str, Any] = {"from": begin, "to": end, "timezone": timezone}
    document = {"windows": [written | ({} if days is None else {"days": days})]}
    return ApplySettings.from_document(document).windows[0]


def at(text: str, zone: str = "UTC", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-23 21:59", False),
        ("2026-11-23 22:00", True),
        ("2026-11-23 23:59", True),
        ("2026-11-24 00:00", True),
        ("2026-11-24 03:59", True),
        ("2026-11-24 04:00", False),
    ],
)
def test_over_midnight(when: str, is_open: bool) -> None:
    assert window("22:00", "04:00").is_open(at(when)) is is_open


def test_the_day_is_the_one_on_which_it_begins() -> None:
    monday_night = window("22:00", "04:00", days=["mon"])
    assert monday_night.is_open(at("2026-11-24 03:00")), "Tuesday morning"
    assert not monday_night.is_open(at("2026-11-23 03:00")), "Monday morning"
    assert monday_night.opens(at("2026-11-24 03:00")) == at("2026-11-30 22:00")


def test_zones() -> None:
    tokyo = window("01:00", "02:00", "Asia/Tokyo")
    assert tokyo.is_open(at("2026-11-23 16:30"))
    assert not tokyo.is_open(at("2026-11-23 01:30"))


@pytest.mark.parametrize(
    ("begin", "end", "opens", "closes"),
    [
        # 2026-03-29: at 02:00 the clocks jump to 03:00, which is 01:00 UTC
        ("02:30", "05:00", "2026-03-29 01:00", "2026-03-29 03:00"),
        ("01:00", "02:30", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("23:00", "02:10", "2026-03-28 22:00", "2026-03-29 01:00"),
        ("02:10", "02:50", None, None),
        # 2026-10-25: at 03:00 the clocks go back to 02:00; 02:30 comes at 00:30 and at 01:30 UTC
        ("02:30", "04:00", "2026-10-25 00:30", "2026-10-25 03:00"),
        ("01:00", "02:30", "2026-10-24 23:00", "2026-10-25 00:30"),
        ("02:10", "02:50", "2026-10-25 00:10", "2026-10-25 00:50"),
    ],
)
def test_nights_when_clocks_jump(begin: str, end: str, opens: str | None, closes: str | None) -> None:
    found = window(begin, end, "Europe/Berlin")
    year = datetime.fromisoformat(opens).month if opens else 3
    sunday = datetime(2026, 10, 25) if year == 10 else datetime(2026, 3, 29)
    days = [sunday.date(), sunday.replace(day=sunday.day - 1).date()]
    if opens is None or closes is None:
        assert found.stretch(days[0]) is None
        return
    wanted = (at(opens), at(closes))
    assert wanted in {found.stretch(day) for day in days}
    assert not found.is_open(wanted[0] - 1)
    assert found.is_open(wanted[0])
    assert found.is_open(wanted[1] - 1)
    assert not found.is_open(wanted[1])


def test_the_same_time_twice_is_a_whole_day() -> None:
    found = window("03:00", "03:00", "Europe/Berlin", ["sun"])
    assert found.stretch(datetime(2026, 10, 25).date()) == (at("2026-10-25 02:00"), at("2026-10-26 02:00"))


ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]
)
TIMES = st.times().map(lambda time: time.strftime("%H:%M"))
MOMENTS = st.floats(min_value=1.6e9, max_value=2.1e9)


@given(TIMES, TIMES, ZONES, MOMENTS)
def test_when_it_opens_it_is_open_and_was_not(begin: str, end: str, zone: str, now: float) -> None:
    found = window(begin, end, zone)
    opens = found.opens(now)
    assert opens is not None
    assert now < opens < now + 3 * 86400
    assert found.is_open(opens)
    assert begin == end or not found.is_open(opens - 0.5)


@given(TIMES, TIMES, ZONES, MOMENTS)
def test_while_it_is_open_the_clock_reads_so(begin: str, end: str, zone: str, now: float) -> None:
    """But for the hour that comes twice, being open is a matter of what the clock on the wall reads."""
    found = window(begin, end, zone)
    local = datetime.fromtimestamp(now, found.zone)
    doubled = any(
        datetime.fromtimestamp(now + hours * 3600, found.zone).utcoffset() != local.utcoffset()
        for hours in range(-26, 27)
    )
    reads = local.strftime("%H:%M")
    inside = begin <= reads < end if begin < end else reads >= begin or reads < end
    assert doubled or found.is_open(now) is inside


def test_what_is_told() -> None:
    nights = (window("22:00", "04:00", "Europe/Berlin"), window("12:00", "13:00", days=["sun"]))
    assert closed((), 0.0) == ""
    assert closed(nights, at("2026-11-23 23:00", "Europe/Berlin")) == ""
    assert closed(nights, at("2026-11-23 12:30")).endswith("the next opens 2026-11-23 22:00 (Europe/Berlin)")
    assert "none of them ever opens" in closed((window("12:00", "13:00", days=[]),), 0.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reboot": True}, "apply.reboot: unknown key"),
        ({"windows": [{"from": "25:00", "to": "04:00"}]}, "apply.windows[0].from: '25:00' is not a time"),
        ({"windows": [{"from": "22:00"}]}, "apply.windows[0]: the key 'to' is missing"),
        ({"windows": [{"from": "22:00", "to": "04:00", "timezone": "Mars/Base"}]}, "is not a time zone"),
        ({"windows": [{"from": "22:00", "to": "04:00", "timezone": "../../etc/passwd"}]}, "is not a time zone"),
        ({"windows": [{"from": "22:00", "to": "04:00", "days": ["monday"]}]}, "'monday' is not mon, tue"),
        ({"windows": [{"from": "22:00", "to": "04:00"}] * 101}, "a list of at most 100 windows"),
        ({"soak": "10m"}, "apply.soak: '10m' is not a whole number of seconds"),
        ({"soak": 10**12}, "is not a whole number of seconds, at most 10000000000"),
        ({"busy": {"retries": 3}}, "apply.busy: the key 'wait' is missing"),
        ({"busy": {"retries": True, "wait": 1}}, "apply.busy.retries: true is not a whole number"),
        ({"before": ["reboot"]}, "apply.before[0]: 'reboot' is not a list of texts, the program first"),
        ({"before": [[]]}, "the program first"),
        ({"after": [[""]]}, "is not the program"),
        ({"after": [["a\0b"]]}, "is not the program"),
        ({"after": [["a", "b\0"]]}, "is not text without NUL"),
        ({"after": []}, ""),
        ({"after": [["true"]] * 20}, ""),
        ({"after": [["true"]] * 21}, "a list of at most 20 commands"),
        ({"busy": {"retries": 101, "wait": 0}}, "apply.busy.retries: 101 is not a whole number from 0 to 100"),
    ],
)
def test_settings_that_can_not_be_kept_are_refused(
    spr: HostFacts, images: Path, settings: dict[str, Any], says: str
) -> None:
    made = plan_for(spr, images).document
    document = seal({key: made[key] for key in made if key not in {"schema", "id"}} | {"apply": {}}, spr).document
    spoilt = {key: document[key] for key in document if key not in {"id", "class_id"}} | {"apply": settings}
    spoilt["id"] = digest(spoilt)
    if not says:
        assert len(read(Document("plan", spoilt, "", lambda path: None)).settings.after) == len(settings["after"])
        return
    with pytest.raises(InputError) as raised:
        read(Document("plan", spoilt, "", lambda path: None))
    assert says in str(raised.value)


def layered(*layers: list[dict[str, Any]]) -> tuple[Window, ...]:
    document = {"windows": [one | {"layer": layer} for layer, windows in enumerate(layers) for one in windows]}
    return ApplySettings.from_document(document).windows


def test_a_window_of_each_layer_has_to_be_open() -> None:
    night = [{"from": "22:00", "to": "04:00", "timezone": "Europe/Berlin"}, {"from": "12:00", "to": "13:00"}]
    saturday = [{"from": "00:00", "to": "00:00", "days": ["sat"]}]
    both = layered(night, saturday)
    assert closed(both, at("2026-11-28 12:30")) == "", "Saturday noon"
    assert closed(both, at("2026-11-28 23:30")) == ""
    outside = "outside the maintenance windows of the policies; the next time in all of them is "
    assert closed(both, at("2026-11-27 12:30")) == f"{outside}2026-11-28 00:00 (UTC)", "the night before, in Berlin"
    assert closed(both, at("2026-11-28 03:30")) == f"{outside}2026-11-28 12:00 (UTC)"
    assert closed(both, at("2026-11-28 13:00")) == f"{outside}2026-11-28 22:00 (Europe/Berlin)"
    apart = layered([{"from": "01:00", "to": "02:00"}], [{"from": "02:00", "to": "03:00"}])
    never = "outside the maintenance windows of the policies, and no time in the next 15 days is in the windows of all"
    assert {closed(apart, at(f"2026-11-28 {hour:02}:30")) for hour in range(24)} == {never}


@given(TIMES, TIMES, TIMES, TIMES, ZONES, MOMENTS)
def test_when_layers_are_told_to_open_they_do(a: str, b: str, c: str, d: str, zone: str, now: float) -> None:
    both = layered([{"from": a, "to": b, "timezone": zone}], [{"from": c, "to": d}])
    told = closed(both, now)
    assert (not told) is all(one.is_open(now) for one in both)
    if " is 20" in told:
        when, _, named = told.rpartition(" is ")[2].rpartition(" (")
        opening = at(when, named.rstrip(")"))
        assert opening > now - 60, "the minute is told, not the second"
        folds = [at(when, named.rstrip(")"), fold) for fold in (0, 1)]
        assert any(closed(both, fold + 60 * later) == "" for fold in folds for later in (0, 1))


def test_utc_is_known_on_a_host_without_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(())
    ZoneInfo.clear_cache()
    try:
        with pytest.raises(ValueError, match="is tzdata installed"):
            zone("Europe/Berlin")
        data = {"windows": [{"from": "22:00", "to": "04:00"}]}
        (window,) = ApplySettings.from_document(data).windows
    finally:
        zoneinfo.reset_tzpath()
        ZoneInfo.clear_cache()
    assert window.zone.key == "UTC"
    assert [window.is_open(at(f"2026-11-27T{hour}:30")) for hour in ("21", "22", "03", "04")] == [
        False,
        True,
        True,
        False,
    ]
