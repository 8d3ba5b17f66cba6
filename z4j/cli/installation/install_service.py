# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j install-service`: a unit for systemd that runs this installation."""

from __future__ import annotations

import argparse
import getpass
import os
import pwd
import re
import shutil
import stat
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
HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= of systemd hides."""
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
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
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
    program, parts = _program()
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
            raise BadInput(f"{word!r} contains characters that a unit cannot contain. Nothing was written.")
    name = user or ("" if data == DATA else getpass.getuser())
    line = f"User={name}\n" if name else "DynamicUser=yes\n"
    read = [*parts, *(Path(getattr(settings, known)).absolute() for known in PATHS if getattr(settings, known))]
    for path in read:
        _check_reachable(path, name)
    protect_home = "no" if _is_in_home(data) else "read-only" if any(map(_is_in_home, read)) else "yes"
    temporary = data / "tmp"
    if getattr(sys, "frozen", False) and _is_noexec(data):
        raise BadInput(
            f"The file system of {data} is mounted noexec, and the executable unpacks itself there. Nothing was written.",
            "Choose another folder with --data, or install z4j with pip.",
        )
    return UNIT.format(
        command=" ".join(map(_quoted, given)), user=line, data=_value(str(data)), variable=_value(f"TMPDIR={temporary}"),
        folder=_quoted(str(temporary)), port=settings.port, protect_home=protect_home,
    )  # fmt: skip


def _program() -> tuple[list[str], list[Path]]:
    """Returns the words that start this installation, and the files and folders it needs."""
    program = Path(sys.executable)
    if getattr(sys, "frozen", False):
        return [str(program)], [program]
    return [str(program), "-m", "z4j"], [program, Path(sys.prefix), Path(sys.base_prefix), Path(__file__)]


def _is_in_home(path: Path) -> bool:
    return any(each.is_relative_to(home) for each in (path, path.resolve()) for home in HOMES)


def _check_reachable(path: Path, user: str) -> None:
    """Raises BadInput where the service's user may not enter a folder above `path`: systemd reports only 203/EXEC then."""
    try:
        uid = pwd.getpwnam(user).pw_uid if user else None
    except KeyError:
        return  # it is created later; nothing is known of it
    if uid == 0:
        return
    for folder in {parent for each in (path, path.resolve()) for parent in each.parents if parent.exists()}:
        found = folder.stat()
        if found.st_mode & stat.S_IXOTH or (found.st_uid == uid and found.st_mode & stat.S_IXUSR):
            continue
        who = f"The user {user}" if user else "The user of the service"
        raise BadInput(
            f"{who} may not enter {folder}, and the service needs {path}. Nothing was written.",
            "Install z4j outside of home folders, such as /usr/local/bin/z4j or /opt/z4j, or choose a user with --user.",
        )


def _is_noexec(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def _quoted(word: str) -> str:
    """A word of ExecStart: systemd expands % and $, and reads backslashes within any quotes."""
    return _value(word).replace("$", "$$")


def _value(word: str) -> str:
    """A word of any other line, where systemd expands % only."""
    text = word.replace("%", "%%")
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
