# SPDX-License-Identifier: Apache-2.0
"""`python -m z4j_agent doctor`: checks whether this application's agent can reach its server, and checks its environment.

It sends a hello and a goodbye to the server as a process of its own and uses nothing else: no spool, no queue, no task.
"""

from __future__ import annotations

import importlib
import json
import os
import secrets
import shutil
import socket
import ssl
import sys
import textwrap
import time
from dataclasses import asdict
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection

from z4j_agent import lifecycle, wire
from z4j_agent.capture.guard import faults
from z4j_agent.connection.dial import dial
from z4j_agent.connection.tls import CannotReadCa, PinMismatch
from z4j_agent.contract.adapter import Finding
from z4j_agent.doctor import checks
from z4j_agent.settings import BadSettings, Settings, agent_version
from z4j_agent.wire.session import ProtocolError, Refusal, Session, Welcomed

TCP_TIMEOUT_S = 5.0
SKEW_S = 2.0
"""Two clocks further apart than this put the events of one task into the wrong order on a page."""

Report = list[tuple[str, Finding]]
"""(topic, finding) in the order of display."""


def examine(target: str = "") -> Report:
    """Runs all checks. `target` is `module:object` of the application, "" for none; it is imported so that its hooks are installed.
    Problems are findings, not exceptions."""
    report: Report = []
    if target:
        report += [("application", _load(target))]
    agent = lifecycle.current()
    try:
        settings = agent.settings if agent is not None else lifecycle.settings_of()
    except BadSettings as error:
        return [
            *report,
            ("settings", Finding("error", f"z4j is disabled: {error}.", "Correct the setting. The application is not affected.")),
        ]
    if settings is None:
        what = "z4j is disabled: no connection string in Z4J_URL or in the framework's settings."
        return [*report, ("settings", Finding("error", what, "Set Z4J_URL to the output of `z4j token create`."))]
    adapters = agent.adapters if agent is not None else ()
    report += [("settings", finding) for finding in checks.of_settings(settings)]
    report += [("server", finding) for finding in ask_server(settings)]
    report += [("spool", finding) for finding in checks.of_folder(settings)]
    if target:
        report += [("engines", finding) for finding in (*checks.of_adapters(adapters), *checks.of_engines(adapters))]
    else:
        report += [
            (
                "engines",
                Finding(
                    "ok", "No application was given, so engines were not checked. Add module:object of the application to the command."
                ),
            )
        ]
    for operation, (count, kind) in list(faults.by_operation.items()):
        what = f"An agent operation failed during this check: {operation} ({kind}, {count} times)."
        report.append(("agent", Finding("warning", what, "The application is not affected. Please report this to the z4j project.")))
    return [*report, *(("log", finding) for finding in checks.of_log(settings))]


def _load(target: str) -> Finding:
    module, _, name = target.partition(":")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        loaded: Any = importlib.import_module(module)
        for part in name.split(".") if name else ():
            loaded = getattr(loaded, part)
    except (Exception, SystemExit) as error:
        what = f"{target} could not be imported: {type(error).__name__}: {str(error)[:300]}."
        return Finding(
            "error", what, "Run this command in the application's folder, with its Python environment and environment variables."
        )
    return Finding("ok", f"{target} was imported.")


# -- the server --------------------------------------------------------------------------------------------------------
def ask_server(settings: Settings) -> list[Finding]:
    """Performs a real handshake, step by step: name, port, TLS and pin, token, welcome; then checks the content of the welcome. The first
    step that fails is the only finding."""
    if (unreachable := _try_port(settings)) is not None:
        return [unreachable]
    try:
        with dial(settings) as connection:
            return _greet(settings, connection)
    except Exception as error:
        return [_of_failure(settings, error)]


def _try_port(settings: Settings) -> Finding | None:
    address = f"{settings.host}:{settings.port}"
    waits = "No events are lost: they are stored in the spool folder."
    try:
        socket.create_connection((settings.host, settings.port), timeout=TCP_TIMEOUT_S).close()
    except (socket.gaierror, UnicodeError):  # UnicodeError: a part of the name is empty or longer than 63 characters
        return Finding(
            "error", f"The host name {settings.host} cannot be resolved. {waits}", "Correct the host in Z4J_URL, or the DNS configuration."
        )
    except TimeoutError:
        what = f"{address} did not respond within {TCP_TIMEOUT_S:.0f} seconds. {waits}"
        return Finding("error", what, "Allow outgoing connections to this port in the firewall. The agent needs no incoming connections.")
    except OSError as error:
        what = f"{address} cannot be reached ({error.strerror or error}). {waits}"
        return Finding("error", what, "Start the server there, or correct the host and port in Z4J_URL.")
    return None


def _greet(settings: Settings, connection: ClientConnection) -> list[Finding]:
    session = Session()
    sent = time.time()
    connection.send(session.send_hello(_hello(settings)))
    answer = session.receive(connection.recv(timeout=10))
    received = time.time()
    if isinstance(answer, Refusal):
        return [_of_refusal(answer)]
    assert isinstance(answer, Welcomed), "in this state the session lets nothing else through"
    connection.send(session.send_goodbye("the doctor has finished"))
    took = (received - sent) * 1000
    findings = [Finding("ok", f"The server accepted the token and responded in {took:.0f} ms (protocol {wire.PROTOCOL}).")]
    return [*findings, of_clock(answer.at / 1e6, sent, received), of_seal_key(settings, answer.seal_key)]


def _hello(settings: Settings) -> dict[str, Any]:
    """The hello of a process without engines and capabilities, so that the server sends no commands."""
    return {
        "agent_version": agent_version(), "boot": secrets.token_hex(6), "spool": secrets.token_hex(8), "host": socket.gethostname(),
        "pid": os.getpid(), "role": "producer", "worker": "", "app": settings.app, "environment": settings.environment,
        "release": settings.release, "engines": {}, "capabilities": [], "allow": "read", "denied": [],
        "seal_key": settings.seal_key.key_id if settings.seal_key else None, "shipper": False, "at": time.time_ns() // 1000,
        "notes": ["This process is the agent's doctor."],
    }  # fmt: skip


def of_clock(server: float, sent: float, received: float) -> Finding:
    """Compares clocks. Seconds since 1970: the server's time, and this process's before and after it."""
    off = (sent + received) / 2 - server
    unsure = (received - sent) / 2
    if abs(off) <= SKEW_S + unsure:
        return Finding("ok", f"This clock and the server's agree within {max(0.1, abs(off) + unsure):.1f} seconds.")
    what = f"This clock is {abs(off):.0f} seconds {'ahead of' if off > 0 else 'behind'} the server's. Times on pages differ by that amount."
    return Finding("warning", what, "Synchronize both clocks with NTP. Durations are not affected.")


def of_seal_key(settings: Settings, app_key: str | None) -> Finding:
    """Compares this process's seal key with the app's: originals that another key seals cannot be opened by other processes of the app."""
    own = settings.seal_key.key_id if settings.seal_key else ""
    if not own:
        what = (
            f"The app has the seal key {app_key}, but this process has none."
            if app_key
            else "Neither this process nor its app has a seal key."
        )
        return Finding("warning", what, "Set the complete connection string of the app.")
    if app_key is None or own == app_key:
        return Finding("ok", f"The seal key {own} is {'the key of the app' if app_key else 'the first one reported for the app'}.")
    what = f"This process seals with key {own}, but its app with {app_key}. Other processes of the app cannot retry its tasks."
    return Finding("warning", what, "Use the seal key of the app's first connection string, and put this key into Z4J_SEAL_KEYS.")


def _of_refusal(refusal: Refusal) -> Finding:
    what = f"The server refused this process: {refusal.message} ({refusal.code})."
    if refusal.code in (wire.BAD_TOKEN, wire.FORBIDDEN):
        return Finding("error", what, "Create a new token with `z4j token create` and set the complete connection string.")
    if refusal.code == wire.BAD_PROTOCOL:
        return Finding(
            "error", what, "Upgrade the server first, then the agents. A server supports its own protocol version and the one before."
        )
    if refusal.code == wire.TOO_MANY:
        return Finding("error", what, "Wait a few minutes. Until then events are stored in the spool folder.")
    return Finding("error", what, refusal.hint or "Try again. If the problem persists, check the server's log.")


def _of_failure(settings: Settings, error: Exception) -> Finding:
    address = f"{settings.host}:{settings.port}"
    if isinstance(error, PinMismatch):
        what = f"The server at {address} is not the one in the connection string. The token was not sent."
        return Finding(
            "error", what, "If the server has a new key, set its new connection string. Otherwise find out which server is running there."
        )
    if isinstance(error, CannotReadCa):
        return Finding("error", f"No server can be verified: {error.args[0]}.", "Correct Z4J_CA, and check the owner and mode of the file.")
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"This system does not trust the certificate of {address} ({error.verify_message})."
        return Finding("error", what, "Use a connection string with ?pin=, as the server prints it, or set Z4J_CA to the file of its CA.")
    if isinstance(error, ssl.SSLError):
        what = f"{address} does not support TLS ({error.reason or 'the handshake failed'})."
        return Finding("error", what, "Check the TLS configuration of the proxy, and which program listens on this port.")
    if isinstance(error, InvalidStatus) and error.response.status_code in (401, 403):
        return _of_refusal(Refusal(wire.BAD_TOKEN, wire.CLOSE[wire.BAD_TOKEN]))
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in wire.CLOSE:
        return _of_refusal(Refusal(error.rcvd.code, error.rcvd.reason or wire.CLOSE[error.rcvd.code]))
    if isinstance(error, InvalidHandshake | ProtocolError):
        what = f"The server at {address} is not a z4j gateway ({type(error).__name__})."
        return Finding("error", what, "Correct the port in Z4J_URL, or configure the proxy to forward WebSockets on /agent.")
    what = f"{address} closed the connection ({type(error).__name__})."
    return Finding("error", what, "Try again. If the problem persists, check the server's log.")


# -- what is written ---------------------------------------------------------------------------------------------------
def exit_code(report: Report) -> int:
    """2 if there are errors, else 0: a warning must not fail a deployment."""
    levels = {finding.level for _, finding in report}
    return 2 if "error" in levels else 0


def as_json(report: Report) -> str:
    """Returns the report as JSON text: {"agent_version", "exit_code", "findings": [{"topic", "level", "what", "remedy"}, …]}."""
    findings = [{"topic": topic, **asdict(finding)} for topic, finding in report]
    return json.dumps({"agent_version": agent_version(), "exit_code": exit_code(report), "findings": findings}, indent=2)


def as_text(report: Report) -> str:
    """Returns the report as plain text for a terminal."""
    lines, last = [f"z4j-agent {agent_version()}, Python {sys.version.split()[0]}"], ""
    for topic, finding in report:
        if topic != last:
            lines += ["", topic]
            last = topic
        lines.append(_wrapped(f"  {finding.level:<8} ", finding.what))
        if finding.remedy:
            lines.append(_wrapped(" " * 11, finding.remedy))
    levels = [finding.level for _, finding in report]
    count = f"{levels.count('ok')} ok, {levels.count('warning')} warnings, {levels.count('error')} errors"
    return "\n".join([*lines, "", count])


def _wrapped(head: str, text: str) -> str:
    width = min(110, max(50, shutil.get_terminal_size().columns))
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
