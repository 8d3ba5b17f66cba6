# SPDX-License-Identifier: AGPL-3.0-or-later
"""Secrets that nobody can guess, in the shapes that applications pass them in. Standard library only: engines' environments use it, too.

Every secret begins and ends with a mark of this run, so that one search finds all of them, and a piece of one as well.
"""

from __future__ import annotations

import base64
import json
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

LETTERS = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + "234567"
LONG = (1_980, 16_370, 40_000)
"""Where long strings hold their secret: around the limits at which texts are cut for display and for the search."""


def _random(size: int, letters: str = LETTERS) -> str:
    """With a letter of each kind, as generated passwords have them."""
    while True:
        made = "".join(secrets.choice(letters) for _ in range(size))
        if sum(any(letter in kind for letter in made) for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)) >= 2:
            return made


@dataclass
class Marks:
    """Of one run. `plain` is no secret: text with it must be found, which proves that a door was used at all."""

    mixed: str = field(default_factory=lambda: _random(8))
    upper: str = field(default_factory=lambda: _random(8, UPPER))
    hex: str = field(default_factory=lambda: secrets.token_hex(7))
    plain: str = field(default_factory=lambda: f"ordinary{secrets.randbelow(10**8):08}")

    @property
    def secret(self) -> tuple[str, ...]:
        return self.mixed, self.upper, self.hex

    def word(self) -> str:
        return f"{self.mixed}{_random(4)}{self.mixed}"

    def text(self, door: str) -> str:
        """Ordinary text that names a door."""
        return f"{self.plain} {door}"


def bundle(marks: Marks, long: tuple[int, ...] = LONG) -> dict[str, Any]:
    """One secret of each shape. JSON gives it back as it is."""
    word = marks.word
    body = base64.urlsafe_b64encode(json.dumps({"sub": word(), "admin": True}).encode()).decode().rstrip("=")
    return {
        "password": word(),
        "profile": {"api_key": word(), "deep": {"client_secret": [word(), word()], "accessToken": word()}},
        "dsn": f"postgres://app:{word()}@db.local/x",
        "broker": f"amqp://guest:{word()}@rabbit:5672//",
        "odbc": f"Server=db;Uid=sa;Pwd={word()};Encrypt=yes",
        "header": f"Bearer {word()}{word()}",
        "basic": "Basic " + base64.b64encode(f"user:{word()}".encode()).decode(),
        "link": f"https://shop.example/reset/{word()}{word()}",
        "magic": f"https://shop.example/login?magic_token={word()}&next=/",
        "signed": f"https://files.example/a.pdf?X-Amz-Signature={marks.hex * 4}&X-Amz-Date=20261123",
        "aws": {"AWS_ACCESS_KEY_ID": f"AKIA{marks.upper}{marks.upper}", "AWS_SECRET_ACCESS_KEY": f"{word()}{word()}"},
        "akid_in_text": f"using AKIA{marks.upper}{marks.upper} today",
        "jwt_in_text": f"got eyJhbGciOiJIUzI1NiJ9.{body}.{word()}{word()}",
        "pem": f"-----BEGIN PRIVATE KEY-----\nMIIE{word()}{word()}\n{word()}\n-----END PRIVATE KEY-----",
        "cookie": f"sessionid={word()}{word()}; csrftoken={word()}",
        "said": f"the password is {word()}",
        "env": f"DB_PASSWORD={word()}",
        "json": json.dumps({"user": "ada", "password": word()}),
        "stripe": f"sk_live_{word()}{word()}",
        "github": f"ghp_{marks.mixed}{_random(20)}{marks.mixed}",
        "digest": f"dop_v1_{(marks.hex * 5)[:64]}",
        "pairs": [["token", word()], ["colour", "red"]],
        "entry": {"name": "client_secret", "value": word()},
        "argv": ["mysql", "-u", "root", "--password", word()],
        "when": {"at": "2026-11-23T04:00:00Z", "token": word(), "until": "2026-11-24"},
        f"https://api.example/v1?access_token={word()}": 1,
        **{f"long{size}": "lorem " * (size // 6) + f"password={word()} ipsum" for size in long},
    }


def arguments(marks: Marks, door: str, long: tuple[int, ...] = LONG) -> tuple[list[Any], dict[str, Any]]:
    """(args, kwargs) of the task `login(user, password, link, bundle)`: two secrets by position, the others in `bundle`."""
    args = [marks.text(door), marks.word(), f"https://shop.example/confirm/{marks.word()}{marks.word()}"]
    return args, {"bundle": bundle(marks, long)}


def reason(marks: Marks, door: str) -> str:
    """What a person might paste into a field for a reason."""
    return (
        f"{marks.text(door)}: password={marks.word()}, see https://u:{marks.word()}@wiki.example/x and Bearer {marks.word()}{marks.word()}"
    )
