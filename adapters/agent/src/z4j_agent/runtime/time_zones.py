# SPDX-License-Identifier: Apache-2.0
"""Names of time zones. Many schedulers use the host's clock, and none of them provides the name of its zone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from z4j_agent.contract.adapter import Refused

_UTC: Final = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Universal", "Etc/Universal", "Etc/Zulu"})


def zone_of_host() -> str:
    """Returns the IANA name of this host's zone; without one, its current offset as `UTC+05:30`."""
    try:
        linked = os.readlink("/etc/localtime").partition("zoneinfo/")[2]
    except OSError:
        linked = ""
    for name in (os.environ.get("TZ", "").lstrip(":"), linked, _text_of("/etc/timezone")):
        if name and is_zone(name) and _is_now_here(name):
            return name
    return offset_name(datetime.now().astimezone().strftime("%z"))


class HostZone(tzinfo):
    """The zone of naive times in this process, with or without a name. It follows `time.tzset`."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Returns the offset of the process's zone at this local time; `fold` is respected, and the moment's own zone is not read. None for
        None."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Returns None, which `datetime` treats as unknown."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Returns the zone's abbreviation at this local time, for example "CET", as the operating system reports it. None for None."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """Returns the local time of a UTC time, with this zone, and with `fold=1` for the second of two equal local times.
        `datetime.astimezone` calls it."""
        local = moment.replace(tzinfo=UTC).astimezone()
        converted = local.replace(tzinfo=self)
        return converted if converted.utcoffset() == local.utcoffset() else converted.replace(fold=1)


def offset_name(offset: str) -> str:
    """`+0530`, as `strftime("%z")` writes it → `UTC+05:30`."""
    return "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"


def is_zone(name: str) -> bool:
    """Whether the IANA database has it."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def find_zone(name: str) -> ZoneInfo:
    """Returns the time zone of an IANA name. Raises Refused if there is none."""
    if not is_zone(name):
        raise Refused(f"unknown time zone {name[:60]}. No changes were made.")
    return ZoneInfo(name)


def check_only_zone(name: str, own: str, whose: str) -> None:
    """Raises Refused unless `name` is the scheduler's only zone, or "" for it. `whose` begins the message."""
    if name in ("", own) or (name in _UTC and own in _UTC):
        return
    find_zone(name)
    raise Refused(f"{whose} uses one time zone for all schedules, {own}")


def _is_now_here(name: str) -> bool:
    """The name in TZ or of the host's link; a link may be older than the process's zone."""
    now = datetime.now(UTC)
    return now.astimezone(ZoneInfo(name)).utcoffset() == now.astimezone().utcoffset()


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""  # not every host has it
