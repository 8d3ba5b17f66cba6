# SPDX-License-Identifier: AGPL-3.0-or-later
"""The API client of the command line: one request, one response, and errors as the exceptions that set the exit code."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import urlencode, urlsplit

from z4j.appliance.server_address import address_of
from z4j.cli.common import https
from z4j.cli.common.output import print_json, say
from z4j.cli.common.secret import read_secret
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, StoreError, TooMany, Unsupported, WrongState, Z4jError
from z4j.settings import Settings
from z4j.text import JsonObject

T = TypeVar("T")
TIMEOUT_S: Final = 30
POLL_S: Final = 0.3
BY_STATUS: Final[dict[int, type[Z4jError]]] = {
    400: BadInput, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: WrongState, 422: Unsupported, 429: TooMany, 503: AgentGone,
}  # fmt: skip
ENDED: Final = {"done": 0, "refused": 6, "unsupported": 6, "failed": 10, "expired": 7, "unknown": 11}
"""Status of a command → exit code."""
FILTERS: Final = (
    "state",
    "name",
    "queue",
    "engine",
    "worker",
    "app",
    "environment",
    "since",
    "until",
    "task_id",
    "label",
    "error_group",
    "q",
)
"""Filters of tasks, as `GET /tasks` names them."""
Add = Callable[..., argparse.ArgumentParser]
"""(name, text, command, parent) → the parser of a command, see `z4j.cli`."""


class QueuedTask(TypedDict):
    """A task in a queue, as an agent listed it. `due_at` is microseconds UTC."""

    task_id: str
    name: str
    args: str
    due_at: int | None


class CommandDetail(TypedDict, total=False):
    """What an agent reported with the result of a command."""

    error: str
    note: str
    task_id: str
    tasks: list[QueuedTask]


class CommandResult(TypedDict):
    """A command, as `GET /commands/{id}` returns it."""

    id: str
    action: str
    status: str
    detail: CommandDetail


class Client:
    """`server` is the address of the pages, `token` an API token."""

    def __init__(self, server: str, token: str, context: ssl.SSLContext | None = None) -> None:
        if urlsplit(server).scheme not in ("http", "https"):
            raise BadInput(f"{server} is not a server address.", "Use http://127.0.0.1:7700 or https://….")
        if not token:
            raise NotAllowed(
                "No API token was given.",
                "Set Z4J_API_TOKEN, or use --token FILE. Create a token with `z4j token create --api LABEL --role operator`.",
            )
        self._base = f"{server.rstrip('/')}/api/v1"
        self._token = token
        self._opener = https.opener_of(server, context)

    def get(self, path: str, **query: str | int | None) -> Any:
        """Raises Z4jError."""
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        return self._send("GET", path + (f"?{urlencode(asked)}" if asked else ""), None)

    def post(self, path: str, **body: Any) -> Any:
        """Raises Z4jError."""
        return self._send("POST", path, {name: value for name, value in body.items() if value is not None})

    def _send(self, method: str, path: str, body: JsonObject | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, headers, method=method)  # noqa: S310 -- the scheme was checked
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _error_of(error) from error
        except (urllib.error.URLError, TimeoutError, json.JSONDecodeError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise StoreError(
                    f"The certificate of {self._base} could not be verified: {reason.verify_message}. The token was not sent.",
                    "Set Z4J_CA to a file with the certificate of the server or of its CA.",
                ) from error
            raise StoreError(
                f"No response from the server at {self._base}: {reason}.", "Set its address with --server or Z4J_SERVER."
            ) from error

    def wait(self, command: CommandResult) -> CommandResult:
        """Returns the command after its result was reported or it expired."""
        result = command
        while result["status"] not in ENDED:
            time.sleep(POLL_S)
            result = self.get(f"/commands/{command['id']}")
        return result


def _error_of(error: urllib.error.HTTPError) -> Z4jError:
    if 300 <= error.code < 400:
        error.close()
        return StoreError(
            f"The server redirects elsewhere ({error.code}), and the request was not repeated there.",
            "Use the address of the server itself.",
        )
    kind = BY_STATUS.get(error.code, StoreError)
    try:
        problem = json.load(error)
        return kind(str(problem["detail"]), str(problem.get("hint", "")))
    except (ValueError, KeyError, TypeError):
        return kind(f"The server responded with {error.code} {error.reason}.")


def client_of(words: argparse.Namespace, settings: Settings) -> Client:
    """Returns a client for the server and token of the command line and the environment. Raises BadInput or NotAllowed."""
    given, token = words.server or os.environ.get("Z4J_SERVER"), read_secret(words.token, "--token", "Z4J_API_TOKEN")
    if given:
        return Client(given, token, https.context_with_ca())
    server = address_of(words, settings)
    return Client(server.url, token, https.context_of(server.tls.certificate) if server.tls else None)


def print_command(client: Client, command: CommandResult, words: argparse.Namespace) -> int:
    """Waits for a command unless --no-wait is given, and prints its result. Returns the exit code."""
    result = command if words.no_wait else client.wait(command)
    if words.json:
        print_json(result)
    else:
        detail = result["detail"]
        note = detail.get("error") or detail.get("note") or ""
        made = f", task {detail['task_id']}" if detail.get("task_id") else ""
        say(f"{result['action'].replace('_', ' ')}: {result['status']}{made}{f'. {note}' if note else ''}")
        lines = detail.get("stack")
        for line in lines if isinstance(lines, list) else ():
            say(f"  {line}")
    return 0 if words.no_wait else ENDED[result["status"]]


def only(rows: list[T], what: str, hint: str) -> T:
    """Returns the single row; with two of a name nothing is done to either. Raises NotFound or BadInput."""
    if not rows:
        raise NotFound(f"No {what}. No changes were made.", hint)
    if len(rows) > 1:
        raise BadInput(f"There is more than one {what}. No changes were made.", hint)
    return rows[0]


def list_all(client: Client, what: str) -> Any:
    """Returns a list of the API whole, which comes page by page."""
    answer = part = client.get(f"/{what}")
    while part["after"]:
        part = client.get(f"/{what}", after=part["after"])
        answer[what] += part[what]
    return answer


def remote_options(made: argparse.ArgumentParser, *, asks: bool = False) -> argparse.ArgumentParser:
    """Adds the options of every command that uses the API, and with `asks` those of one that requests an action."""
    made.add_argument("--server", help="Address of the server. Default: Z4J_SERVER, or the server of this installation")
    made.add_argument("--token", metavar="FILE", help="File that contains the API token, or - for standard input. Default: Z4J_API_TOKEN")
    made.add_argument("--json", action="store_true", help="Print the API response as JSON.")
    if asks:
        made.add_argument("--reason", default="", help="Reason to record in the audit log.")
        made.add_argument("--no-wait", action="store_true", help="Return immediately; do not wait for the result.")
    return made


def filter_options(made: argparse.ArgumentParser) -> None:
    """Adds an option for each filter of tasks."""
    helps = {"state": "One or more states, separated by commas.", "q": "A query, such as 'name:emails.* -env:staging ran:>2s'."}
    for name in FILTERS:
        made.add_argument(f"--{name.replace('_', '-')}", help=helps.get(name))
