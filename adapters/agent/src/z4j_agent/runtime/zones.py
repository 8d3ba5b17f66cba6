# SPDX-License-Identifier: Apache-2.0
"""Names of time zones. Many schedulers compare with the host's clock, and none of them says what its zone is called."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from z4j_agent.contract.adapter import Refused

_UTC: Final = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Universal", "Etc/Universal", "Etc/Zulu"})


def zone_of_host() -> str:
    """The IANA name of this host's zone; where it has none, its offset now, as `UTC+05:30`."""
    try:
        linked = os.readlink("/etc/localtime").partition("zoneinfo/")[2]
    except OSError:
        linked = ""
    for name in (os.environ.get("TZ", "").lstrip(":"), linked, _text_of("/etc/timezone")):
        if name and is_zone(name) and _is_now_here(name):
            return name
    return offset_name(datetime.now().astimezone().strftime("%z"))


class HostZone(tzinfo):
    """The zone in which naive times of this process are meant, whether or not it has a name. It follows `time.tzset`."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
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
    """Raises Refused where there is none of this name."""
    if not is_zone(name):
        raise Refused(f"unknown time zone {name[:60]}")
    return ZoneInfo(name)


def check_only_zone(name: str, own: str, whose: str) -> None:
    """Raises Refused unless `name` is the scheduler's only zone, or "" for it. `whose` begins the sentence."""
    if name in ("", own) or (name in _UTC and own in _UTC):
        return
    find_zone(name)
    raise Refused(f"{whose} uses one time zone for all schedules, {own}")


def _is_now_here(name: str) -> bool:
    """A link can be older than what the process was started with."""
    now = datetime.now(UTC)
    return now.astimezone(ZoneInfo(name)).utcoffset() == now.astimezone().utcoffset()


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""  # not every host has it
