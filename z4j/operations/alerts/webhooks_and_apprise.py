# SPDX-License-Identifier: AGPL-3.0-or-later
"""The process that sends one message: by a signed webhook, or through a service supported by Apprise.

A separate process, because Apprise loads 35 MB of services at its first message, and because a hanging process can be killed. It reads one
JSON object from its standard input and writes one: `{"why": ""}` if the message was delivered, or the reason without secrets of the
address. With `"action": "check"` it sends nothing and answers with the address as pages show it: `{"why": "", "shown": "…"}`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

TIMEOUT_S: Final = (5.0, 15.0)
"""To connect, and between two bytes of the answer."""
MANY_S: Final = 25.0
"""After so long `send_many` begins no further message."""
SIGNATURE: Final = "Z4J-Signature"
MESSAGE_ID: Final = "Z4J-Message-Id"
LOCAL: Final = frozenset({"blink1", "dbus", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"})
"""Apprise services that show a notification on this host, where it would not be seen."""
PATHS: Final = frozenset({"form", "forms", "json", "jsons", "xml", "xmls"})
"""Apprise's own webhooks: their path is often a secret, and Apprise shows it."""
LONGEST_TITLE: Final = 900
"""Bytes of a title in quoted-printable form: mail servers accept 998 in a line."""
NO_WEBHOOK: Final = "A webhook is an address that begins with https:// or http://."
NO_SERVICE: Final = "Apprise does not support this address, or it refers to a file or to another address."
REASON: Final = 300
_SECRET: Final = 4
"""Parts of an address of at least this length are removed from a reason."""
_PART: Final = re.compile(r"[/?&=,:;@#\s]+")
_MENTION: Final = re.compile(r"@(?=(?:everyone|here|channel|all)\b)|<(?=[!@#])", re.IGNORECASE)


def run(request: Mapping[str, Any]) -> dict[str, str]:
    """Executes one request: `action` (send or check), `kind` (webhook or apprise), `url`, and to send `key`, `id`, `json` (the body of a
    webhook), `title`, `text` and `type` (of Apprise: info, success, warning or failure).

    `send_many` posts `messages` (each with `id` and `json`) to a webhook in order, until one does not arrive or the time is up: `sent` is
    how many arrived, `why` and `status` are of the first that did not.
    """
    url = str(request["url"])
    if request["action"] == "send_many":
        return _post_many(request)
    if request["action"] == "check":
        return _check_webhook(url) if request["kind"] == "webhook" else _check_service(url)
    why = _post(request) if request["kind"] == "webhook" else _notify(request)
    return {"why": _reason(why, request)}


def sign(key: str, at: int, body: bytes) -> str:
    """Returns the signature of a body at a time (seconds): `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`."""
    digest = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _post(request: Mapping[str, Any]) -> str:
    import requests

    with requests.Session() as session:
        return _post_one(session, request["url"], request["key"], request)[0]


def _post_many(request: Mapping[str, Any]) -> dict[str, str]:
    import requests

    sent, why, status, until = 0, "", 0, time.monotonic() + MANY_S
    with requests.Session() as session:
        for message in request["messages"]:
            if time.monotonic() > until:
                break
            why, status = _post_one(session, request["url"], request["key"], message)
            if why:
                break
            sent += 1
    return {"why": _reason(why, request), "sent": str(sent), "status": str(status)}


def _post_one(session: Any, url: str, key: str, message: Mapping[str, Any]) -> tuple[str, int]:
    """Why it did not arrive, and the status of the answer (0: none)."""
    import requests

    body = str(message["json"]).encode()
    headers = {
        "Content-Type": "application/json", "User-Agent": "z4j", MESSAGE_ID: message["id"], SIGNATURE: sign(key, int(time.time()), body),
    }  # fmt: skip
    try:
        with session.post(url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        return f"The server could not be reached: {type(error).__name__}.", 0
    return ("" if 200 <= status < 300 else f"The server answered with status {status}."), status


class Collector(logging.Handler):
    """Collects the warnings of Apprise: it reports no other reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Adds a line."""
        self.lines.append(record.getMessage())


def _notify(request: Mapping[str, Any]) -> str:
    import apprise

    service = _service(request["url"])
    if service is None:
        return NO_SERVICE
    sender = apprise.Apprise(asset=_asset())
    sender.add(service)
    collector = Collector()
    logging.getLogger("apprise").addHandler(collector)
    is_sent = sender.notify(
        title=_title(request["title"]), body=_without_mentions(request["text"]), notify_type=apprise.NotifyType(request["type"]),
        body_format=apprise.NotifyFormat.TEXT,
    )  # fmt: skip
    return "" if is_sent else " ".join(collector.lines) or "The service refused the message and gave no reason."


def _check_webhook(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return {"why": NO_WEBHOOK}
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        return {"why": NO_WEBHOOK}
    rest = "/…" if len(parts.path) > 1 or parts.query else ""
    return {"why": "", "shown": f"{parts.scheme}://{parts.hostname}{port}{rest}"}


def _check_service(url: str) -> dict[str, str]:
    service = _service(url)
    if service is None:
        return {"why": NO_SERVICE}
    shown = str(service.url(privacy=True)).split("?")[0]
    scheme, _, rest = shown.partition("://")
    if scheme in PATHS:
        host, _, path = rest.partition("/")
        shown = f"{scheme}://{host}{'/…' if path else ''}"
    return {"why": "", "shown": shown[:REASON]}


def _service(url: str) -> Any:
    """Returns the one service of an address, None if there is none. Apprise reads templates and keys from files and from further addresses
    if an address tells it to, and follows redirects: this process does neither, for whatever service."""
    import apprise
    import requests
    from apprise.manager_attachment import AttachmentManager

    requests.Session.get_redirect_target = lambda self, resp: None  # type: ignore[method-assign]
    sources: Any = AttachmentManager()  # type: ignore[no-untyped-call]
    sources.remove(*sources.schemas())
    service = apprise.Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if service is None or str(service.url(privacy=True)).partition("://")[0] in LOCAL:  # type: ignore[no-untyped-call]
        return None
    return service


def _title(title: str) -> str:
    """Returns a title that mail servers accept: Apprise writes the subject of a mail on one line."""
    title, size = _without_mentions(title), 0
    for count, letter in enumerate(title):
        size += 1 if letter.isascii() and letter.isalnum() else 3 * len(letter.encode())
        if size > LONGEST_TITLE:
            return f"{title[:count]}…"
    return title


def _without_mentions(text: str) -> str:
    """Returns the text with a zero-width character where a chat would read a mention: what a task is called must not notify a channel."""
    return _MENTION.sub(lambda match: f"{match[0]}\N{ZERO WIDTH NON-JOINER}", text)


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(
        app_id="z4j", app_desc="z4j alerts", app_url="", async_mode=False, plugin_paths=[], secure_logging=True
    )  # fmt: skip


def _reason(text: str, request: Mapping[str, Any]) -> str:
    if not text:
        return ""
    checked = _check_webhook(request["url"]) if request["kind"] == "webhook" else _check_service(request["url"])
    return without_secrets(text, request["url"], checked.get("shown", ""))


def without_secrets(text: str, url: str, shown: str) -> str:
    """Returns a reason without the parts of the address that `shown`, the address as pages show it, does not contain."""
    pieces = set(_PART.split(url))
    pieces |= {unquote(piece) for piece in pieces}
    for piece in sorted(pieces - set(_PART.split(shown)), key=len, reverse=True):
        if len(piece) >= _SECRET:
            text = text.replace(piece, "•••")
    return text[:REASON]


def main() -> int:
    """Runs the request on the standard input; nothing but the answer is written to the standard output."""
    answer, sys.stdout = sys.stdout, sys.stderr
    json.dump(run(json.load(sys.stdin)), answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
