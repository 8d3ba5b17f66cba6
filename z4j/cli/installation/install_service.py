# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j install-service`: a unit for systemd that runs this installation."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from z4j import files
from z4j.cli.common.output import say
from z4j.exceptions import BadInput, StoreError
from z4j.settings import Settings, flag

UNITS = Path("/etc/systemd/system")
DATA = Path("/var/lib/z4j")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
PATHS = ("tls_cert", "tls_key")
UNIT = """\
# Written by `z4j install-service`.
[Unit]
Description=z4j, control plane for Python task queues
Documentation=https://127.0.0.1:{port}/
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=all
WatchdogSec=60
ExecStart={command}
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
{user}StateDirectory=z4j
StateDirectoryMode=0700
# The executable unpacks itself in TMPDIR; /tmp may be mounted noexec.
Environment={variable}
ExecStartPre=/bin/mkdir -p {folder}
LimitNOFILE=8192
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
LockPersonality=yes
CapabilityBoundingSet=
ReadWritePaths={data}
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def install_service(words: argparse.Namespace, settings: Settings) -> int:
    """Prints the unit, or writes it and starts the service."""
    unit = unit_of(settings, words.user)
    if not words.write:
        say(unit, end="")
        return 0
    if os.geteuid() != 0:
        raise BadInput("Only root can install a service. Nothing was written.", "Run it with sudo, or print the unit without --write.")
    if shutil.which("systemctl") is None:
        raise BadInput("This system has no systemd. Nothing was written.", "Print the unit without --write, and adapt it.")
    target = UNITS / "z4j.service"
    try:
        files.write_whole(target, unit, mode=0o644)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. No changes were made.") from error
    for command in (("daemon-reload",), ("enable", "--now", "z4j.service")):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)  # noqa: S603, S607 -- words of this file
        if done.returncode != 0:
            raise StoreError(f"{target} was written, but systemctl {' '.join(command)} failed: {done.stderr.strip()}")
    say(f"{target} was written, and the service was started. The setup link is in its log: journalctl -u z4j")
    return 0


def unit_of(settings: Settings, user: str | None) -> str:
    """Returns the unit. Settings that differ from their defaults become flags of its command."""
    data = settings.data.absolute() if settings.data != Settings().data else DATA  # systemd starts it in /
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "z4j"]
    given = [*program, "serve", "--data", str(data)]
    for known in fields(Settings):
        value = getattr(settings, known.name)
        if known.name == "data" or value == known.default:
            continue
        if value is True:
            given.append(flag(known.name))
        elif isinstance(value, tuple):
            given += [word for item in value for word in (flag(known.name), str(item))]
        else:
            given += [flag(known.name), str(Path(value).absolute()) if known.name in PATHS else str(value)]
    for word in (*given, user or ""):
        if not word.isprintable():
            raise BadInput(f"{word!r} cannot be part of a unit. Nothing was written.")
    line = f"User={user}\n" if user else "DynamicUser=yes\n" if data == DATA else f"User={getpass.getuser()}\n"
    protect_home = "no" if data.resolve().is_relative_to("/home") or data.resolve().is_relative_to("/root") else "yes"
    temporary = data / "tmp"
    return UNIT.format(
        command=" ".join(map(_quoted, given)), user=line, data=_value(str(data)), variable=_value(f"TMPDIR={temporary}"),
        folder=_quoted(str(temporary)), port=settings.port, protect_home=protect_home,
    )  # fmt: skip


def _quoted(word: str) -> str:
    """A word of ExecStart: systemd expands % and $, and reads backslashes within any quotes."""
    return _value(word).replace("$", "$$")


def _value(word: str) -> str:
    """A word of any other line, where systemd expands % only."""
    text = word.replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
