# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings of the nightly backups."""

from __future__ import annotations

import pytest

from z4j.exceptions import BadInput
from z4j.settings import Settings, load


def test_the_time_of_the_backup_is_read() -> None:
    assert Settings().backup_time_us == 3 * 3_600_000_000
    assert load({"backup_at": "23:59"}, {}).backup_time_us == (23 * 60 + 59) * 60_000_000
    assert load({}, {"Z4J_BACKUP_AT": "00:00"}).backup_time_us == 0


@pytest.mark.parametrize("text", ["", "3:00", "24:00", "03:60", "03:00:00", "noon", "03:00 "])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--backup-at"):
        load({"backup_at": text}, {})


def test_backups_are_disabled_only_with_none_of_both() -> None:
    assert load({"backups_daily": 0}, {}).has_backups
    assert load({"backups_weekly": 0}, {}).has_backups
    assert not load({"backups_daily": 0, "backups_weekly": 0}, {}).has_backups
    for name in ("backups_daily", "backups_weekly"):
        with pytest.raises(BadInput, match="minimum is 0"):
            load({name: -1}, {})
