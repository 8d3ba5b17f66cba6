# SPDX-License-Identifier: Apache-2.0
"""Checks that need no connection: the settings, the spool folder, the adapters. Shown by the doctor and sent in every hello.

No check changes anything. The known problems of an engine are its adapter's own findings.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.contract.adapter import Adapter, Finding
from z4j_agent.runtime.agent_log import FILE, read_log
from z4j_agent.settings import LOOPBACK, Settings, agent_version
from z4j_agent.spool.spool import SEGMENT_SUFFIX
from z4j_agent.spool.spool_location import file_system_of, is_network

ENGINES = ("celery", "rq", "dramatiq", "huey", "arq", "taskiq")
LOG_LINES = 5
"""Warnings of the agent's log that the doctor shows."""
ENOUGH_FREE = 64 * 1024 * 1024
"""Bytes free on the spool's file system below which a busy hour without a server could fill it."""


def of_settings(settings: Settings) -> list[Finding]:
    """Returns findings about the connection string, without its secrets."""
    findings = []
    address = f"{settings.host}:{settings.port}"
    if settings.is_tls:
        cas = f"the CAs of this system and of {settings.ca}" if settings.ca else "the CAs of this system"
        trust = "the server's key is pinned" if settings.pins else f"its certificate is verified with {cas}"
        findings.append(Finding("ok", f"The connection string uses TLS to {address}; {trust}."))
    elif settings.host in LOOPBACK:
        findings.append(Finding("ok", f"The connection string uses plaintext to {address}, which does not leave this machine."))
    else:
        what = f"The connection to {address} is plaintext. Anyone on the network can read the token and every task."
        findings.append(Finding("warning", what, "Use a connection string that begins with z4j:// (TLS)."))
    if settings.seal_key is None:
        what = "No seal key is set. Task messages are not stored and tasks cannot be retried."
        remedy = "Set the complete connection string of the app: the seal key is the part between the dot and the @."
        findings.append(Finding("warning", what, remedy))
    else:
        findings.append(Finding("ok", f"Originals are sealed with key {settings.seal_key.key_id}, which never leaves this process."))
    return findings


def of_folder(settings: Settings) -> list[Finding]:
    """Returns findings about the spool folder: its owner, its file system, and the free space. A folder that cannot be examined is an error
    among them. Creates and changes nothing."""
    folder = settings.spool
    remedy = "Set Z4J_SPOOL to a separate folder on a local disk."
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
        wrong = _wrong_with(folder) if there == folder else _cannot_be_made(folder, there)
        if wrong:
            return [Finding("error", wrong, remedy)]
        if is_network(there):
            what = f"The spool folder {folder} is on a network file system ({file_system_of(there)}). Events are stored in memory instead."
            return [Finding("error", what, remedy)]
        findings = []
        if there == folder and stat.S_IMODE(os.lstat(folder).st_mode) != 0o700:
            what = f"The spool folder {folder} can be read by other users. The agent corrects this at its next start."
            findings.append(Finding("warning", what, f"Run chmod 700 {folder}, and find out what changed its mode."))
        return [*findings, *_check_space(folder, there, settings.spool_limit)]
    except OSError as error:
        return [Finding("error", f"The spool folder {folder} cannot be checked ({error.strerror}).", remedy)]


def _wrong_with(folder: Path) -> str:
    facts = os.lstat(folder)
    if not stat.S_ISDIR(facts.st_mode):
        return f"The spool folder {folder} is a link or a file. Events are stored in memory instead."
    if facts.st_uid != os.geteuid():
        return f"The spool folder {folder} belongs to another user (ID {facts.st_uid}). Events are stored in memory instead."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"The spool folder {folder} is not writable. Events are stored in memory instead."
    return ""


def _cannot_be_made(folder: Path, there: Path) -> str:
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        return ""
    return f"The spool folder {folder} does not exist and cannot be created in {there}. Events are stored in memory instead."


def _check_space(folder: Path, there: Path, limit: int) -> list[Finding]:
    waiting = 0
    for path in folder.glob(f"*{SEGMENT_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # its agent has just deleted it
            waiting += path.stat().st_size
    facts = os.statvfs(there)
    free = facts.f_bavail * facts.f_frsize
    findings = []
    if waiting > limit // 2:
        what = f"{waiting >> 20} MB of unsent events in {folder}. Above {limit >> 20} MB the oldest are dropped, and a gap is reported."
        findings.append(Finding("warning", what, "Check the connection to the server, or raise Z4J_SPOOL_LIMIT_MB."))
    if free < ENOUGH_FREE:
        what = (
            f"Only {free >> 20} MB are free on the disk of the spool folder {folder}. If the disk is full, events are dropped and counted."
        )
        findings.append(Finding("warning", what, "Free some space, or set Z4J_SPOOL to a folder on another disk."))
    if not findings:
        findings.append(
            Finding("ok", f"Spool folder {folder}: {waiting >> 10} kB used of {limit >> 20} MB, {free >> 20} MB free on the disk.")
        )
    return findings


def of_adapters(adapters: Iterable[Adapter]) -> list[Finding]:
    """Returns findings about the version of each adapter and engine, and about installed engines that are not monitored."""
    adapters = tuple(adapters)
    agent, watched, findings = agent_version(), {adapter.engine for adapter in adapters}, []
    for adapter in adapters:
        own = installed(f"z4j-{adapter.engine}")
        if own and own != agent:
            what = f"z4j-{adapter.engine} is version {own}, but z4j-agent is version {agent}. Only equal versions are tested together."
            findings.append(Finding("warning", what, f"Install z4j-{adapter.engine} {agent}."))
        else:
            findings.append(Finding("ok", f"{adapter.engine} {_version_of(adapter)} is monitored."))
    for engine in ENGINES:
        if engine in watched or not installed(engine):
            continue
        if not installed(f"z4j-{engine}"):
            what = f"{engine} is installed, but its adapter is not. Its tasks are not monitored."
            findings.append(Finding("warning", what, f"Install z4j-{engine}, if this application uses {engine}."))
        else:
            what = f"z4j-{engine} is installed, but was not started in this process. Its tasks are not monitored."
            findings.append(Finding("warning", what, f"Call z4j_{engine}.install where the application is created."))
    if not findings:
        what = "No engine and no adapter is installed in this environment. Nothing is monitored."
        findings.append(Finding("warning", what, "Run this in the environment of the application."))
    return findings


def of_engines(adapters: Iterable[Adapter]) -> list[Finding]:
    """Returns the findings of the adapters about their engines. Never raises."""
    findings = []
    for adapter in adapters:
        try:
            findings += adapter.findings()
        except Exception as error:
            let_through(error)
            faults.report(f"examining {adapter.engine}", error)
            what = f"The configuration of {adapter.engine} could not be examined ({type(error).__name__})."
            findings.append(Finding("warning", what, "Nothing else is affected."))
    return findings


def notes_of(settings: Settings, *, is_in_folder: bool) -> list[str]:
    """Returns the current warnings for the worker's page. Never raises.

    `is_in_folder`: events are stored in the folder of the settings; if they are not, the agent's notes contain the reason.
    """
    try:
        findings = [*of_settings(settings), *(of_folder(settings) if is_in_folder else ())]
    except Exception as error:
        let_through(error)
        faults.report("examining the settings", error)
        return []
    return [sentence_of(finding) for finding in findings if finding.level != "ok"]


def sentence_of(finding: Finding) -> str:
    """Returns a finding and its remedy as one text."""
    return f"{finding.what} {finding.remedy}".strip()


def installed(distribution: str) -> str:
    """Returns the version of an installed distribution, "" if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _version_of(adapter: Adapter) -> str:
    try:
        return adapter.engine_version()
    except Exception as error:
        let_through(error)
        faults.report(f"finding the version of {adapter.engine}", error)
        return "(unknown version)"


def of_log(settings: Settings) -> list[Finding]:
    """Returns the newest warnings of this application's agents, LOG_LINES of each file at most: they are in a file of their own, because
    the agent writes nothing to the application's log."""
    findings = []
    for path in (settings.spool.parent / FILE, settings.spool / FILE):  # what was logged before the agent knew its folder is one above
        lines = [line for line in read_log(path) if " INFO " not in line][-LOG_LINES:]
        findings += [Finding("warning", f"The agent logged: {line[:300]}", f"The complete log is {path}.") for line in lines]
    return findings
