# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of sign-in, setup, the account and the settings, full and empty, for `test_templates`."""

from __future__ import annotations

import dataclasses
from typing import Any

from z4j.rules import clock_watch
from z4j.rules.connection_steps import Step
from z4j.rules.tasks.link_templates import LinkTemplate
from z4j.store.access.tokens import TokenRow
from z4j.store.backups.backup_results import BackupResult
from z4j.store.fleet.agents import UnpinnedProcess
from z4j.store.fleet.apps import AppRow
from z4j.store.fleet.connection_progress import ConnectionString
from z4j.store.forwarding.deliveries import Delivery
from z4j.store.forwarding.targets import Target, Waiting
from z4j.web.auth.account import AccountPage, qr_code
from z4j.web.auth.auth_pages import AuthPage
from z4j.web.frame.render import Shell
from z4j.web.pages.settings.access import Person, SettingsPage
from z4j.web.pages.settings.appliance import AppliancePage, BackupPanel, ClockPanel, DutyLine, PartLine, RetentionPanel, TlsPanel
from z4j.web.pages.settings.connect import Chosen, ConnectPage
from z4j.web.pages.settings.connection_strings import Connect
from z4j.web.pages.settings.forwarding import ForwardingPage, TargetLine
from z4j.web.pages.settings.link_templates import LinksPage
from z4j.web.pages.settings.setup_snippets import Block


def pages(shell: Shell, evil: str, now: int) -> list[tuple[str, str, Any]]:
    appliance = AppliancePage(
        shell, 30, 10.0,
        (
            DutyLine(evil, "failing", None, now, None, now, 3, evil), DutyLine("retention", "stalled", 1.0, now, now, None, 0, ""),
            DutyLine("due tasks", "ok", 1.0, now, now, None, 0, ""),
        ),
        9_000_000_000, 1_000_000, now, 12_000, 9.3, evil, (PartLine(evil, "tasks", 8_000_000_000, 80),),
        TlsPanel(
            True, evil, (evil, "queue.internal"), now, 2, "AB:CD", "pin", evil, "next",
            (
                UnpinnedProcess(evil, evil, evil, 1, evil, evil, False, now, None),
                UnpinnedProcess("a", "e", "h", 2, "w", "1", True, now, now),
            ),
        ),
        BackupPanel(
            True, 7, 4, "03:00", (BackupResult(now, problem=evil), BackupResult(now, evil, 9_000_000, 3.2, 8_000, 7)), True, evil, evil
        ),
        RetentionPanel(7, 12.3, 120_000_000, 80_000, 83, 2_000, True),
        ClockPanel((clock_watch.Step(now, -7_200_000_000), clock_watch.Step(now, 90_000_000)), 400 * 86_400_000_000, 86_400_000_000),
    )  # fmt: skip
    token = TokenRow(1, "api", evil, "z4k_abcd", "", "viewer", now, "ada", None, None, None)
    made = Connect(evil, "z4j+ws://z4a_x@127.0.0.1:7700", 1, False)

    def settings(tab: str, **more: Any) -> SettingsPage:
        return SettingsPage(shell=shell, tab=tab, may_change=True, days_kept=30, gigabytes_kept=10.0, **more)

    def account(**more: Any) -> AccountPage:
        return dataclasses.replace(
            AccountPage(shell, "account", 30, 10.0, True, "Asia/Kathmandu", "UTC", ("Asia/Kathmandu", "Europe/Berlin")), **more
        )

    chosen = Chosen(evil, "celery", "none", evil)
    block = Block(evil, evil, evil, has_url=True)
    found = ConnectionString(1, now, None, 1, evil, "")
    wrong = Step("first command answered", "wrong", evil, ((evil, evil), (evil, "")))
    progress = (Step("agent connected", "done", evil), Step("first command answered", "waiting", evil), wrong)
    connect = ConnectPage(
        shell, True, chosen, (evil,), made=made, lines=(block,), variants=(block,), has_packages=False, string=found, steps=progress,
        here="/connect/1", can_try=True,
    )  # fmt: skip
    target = Target(1, evil, "webhook", evil, True, True, (evil,), True, evil, now, 1, 1, 7, now, now - 60_000_000, 3, now, evil)
    idle = dataclasses.replace(
        target, id=2, kind="syslog", actions=(), is_enabled=False, sent=0, sent_at=None, failing_since=None, error=""
    )
    forwarding = ForwardingPage(
        shell, "forwarding", 30, 10, (TargetLine(target, Waiting(2, 1, now)), TargetLine(idle, Waiting(0, 0, None))),
        (Delivery(evil, "audit", 3, evil, now, 2, None, "failed", evil), Delivery(evil, "audit", 2, evil, now, 1, now, "delivered", "")),
        evil, "loopback", True,
    )  # fmt: skip

    return [
        ("connect", "settings/connect.html", connect),
        ("connect steps", "settings/connect.html", dataclasses.replace(connect, made=None, is_done=True)),
        ("connect form", "settings/connect.html", dataclasses.replace(connect, made=None, string=None)),
        ("connect viewer", "settings/connect.html", dataclasses.replace(connect, made=None, string=None, may_change=False)),
        ("apps", "settings/apps.html", settings("apps", apps=(AppRow(1, evil, now, "", 2),))),
        ("apps none", "settings/apps.html", settings("apps")),
        (
            "tokens",
            "settings/tokens.html",
            settings(
                "tokens",
                secret=evil,
                tokens=(
                    token,
                    dataclasses.replace(token, revoked_at=now),
                    dataclasses.replace(token, expires_at=now, kind="agent", app=evil),
                ),
            ),
        ),
        ("tokens none", "settings/tokens.html", settings("tokens")),
        (
            "users",
            "settings/users.html",
            settings(
                "users",
                people=(
                    Person(1, evil, "admin", now, None, True),
                    Person(2, evil, "viewer", now, now, False),
                    Person(3, "c", "viewer", now, None, False),
                ),
            ),
        ),
        ("links", "settings/link_templates.html", LinksPage(shell, "links", True, 30, 10, (LinkTemplate(1, evil, evil),))),
        ("forwarding", "settings/forwarding.html", forwarding),
        ("forwarding none", "settings/forwarding.html", dataclasses.replace(forwarding, lines=(), deliveries=(), may_change=False)),
        ("links none", "settings/link_templates.html", LinksPage(shell, "links", False, 30, 10, ())),
        ("appliance", "settings/appliance.html", appliance),
        (
            "appliance at its start",
            "settings/appliance.html",
            dataclasses.replace(
                appliance, why_not_held="", parts=(), oldest_at=None, duties=(DutyLine(evil, "waiting", 5, None, None, None, 0, ""),)
            ),
        ),
        ("account", "auth/account.html", account()),
        ("account enrolling", "auth/account.html", account(has_tabs=False, secret=evil, qr=qr_code("otpauth://x"), error=evil)),
        ("account on", "auth/account.html", account(on_since=now, codes_left=3, codes=(evil, "b"))),
        ("login code", "auth/totp.html", AuthPage("dark", "Enter your code", evil, evil, code=evil, back=evil)),
        ("login", "auth/login.html", AuthPage("dark", "Sign in", evil, evil, evil, back=evil)),
        ("setup", "auth/setup.html", AuthPage("light", "Create the first administrator", code=evil)),
        ("setup used up", "auth/setup.html", AuthPage("system", "Create the first administrator", evil, is_usable=False)),
    ]
