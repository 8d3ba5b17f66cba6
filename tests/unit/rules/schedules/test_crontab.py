# SPDX-License-Identifier: AGPL-3.0-or-later
"""Crontab files: what is a schedule in them, and why other lines are not."""

from __future__ import annotations

from z4j.rules.schedules.crontab import read_crontab

FILE = """
# backups
MAILTO=ops@example.org
CRON_TZ="Europe/Berlin"
30 2 * * 1-5  /usr/bin/backup --full % fed to it
@daily        cleanup
@reboot       start
*/61 * * * *  odd
61 * * * *    wrong
* * * *
TZ=Mars/Olympus
0 0 * * * lost
"""


def test_what_is_read() -> None:
    found = read_crontab(FILE)
    assert [(line.number, line.expression, line.zone, line.command) for line in found if not line.wrong] == [
        (5, "30 2 * * mon-fri", "Europe/Berlin", "/usr/bin/backup --full"),
        (6, "0 0 * * *", "Europe/Berlin", "cleanup"),
        (8, "*/61 * * * *", "Europe/Berlin", "odd"),
    ]
    assert {line.number: line.wrong for line in found if line.wrong} == {
        7: "@reboot is not supported: it has no time",
        9: "Minute: “61” is outside the range 0 to 59",
        10: "it has no command",
        12: "Unknown time zone “Mars/Olympus”",
    }


def test_the_system_crontab_has_a_user() -> None:
    [line] = read_crontab("17 * * * * root run-parts /etc/cron.hourly", has_user=True)
    assert (line.expression, line.command) == ("17 * * * *", "run-parts /etc/cron.hourly")
    assert read_crontab("17 * * * * root", has_user=True)[0].wrong == "it has no command"


def test_a_zone_holds_for_what_follows_until_another_is_set() -> None:
    found = read_crontab("0 1 * * * a\nTZ = 'Asia/Kolkata'\n0 2 * * * b\nCRON_TZ=\n0 3 * * * c\nPATH=/bin\n0 4 * * * d")
    assert [(line.command, line.zone) for line in found] == [("a", "UTC"), ("b", "Asia/Kolkata"), ("c", "UTC"), ("d", "UTC")]


def test_an_alias_is_one_field_also_before_a_user() -> None:
    [line] = read_crontab("@hourly root run", has_user=True)
    assert (line.expression, line.command, line.text) == ("0 * * * *", "run", "@hourly root run")
    assert read_crontab("@hourly root", has_user=True)[0].wrong == "it has no command"
    assert read_crontab("@hourly")[0].wrong == "it has no command"


def test_a_line_that_is_wrong_holds_nothing_else() -> None:
    [line] = read_crontab("  99 * * * * x  ")
    assert (line.number, line.text, line.expression, line.zone, line.command) == (1, "99 * * * * x", "", "", "")


def test_an_assignment_may_follow_others_and_a_command_may_hold_one() -> None:
    [line] = read_crontab("A=1\n_B2 = x y\n* * * * * FOO=bar run --x=1")
    assert (line.number, line.command) == (3, "FOO=bar run --x=1")
