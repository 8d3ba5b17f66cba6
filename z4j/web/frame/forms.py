# SPDX-License-Identifier: AGPL-3.0-or-later
"""Input from browsers: short texts of a form, and the page to return to."""

from __future__ import annotations

from starlette.requests import Request

from z4j.exceptions import BadInput

FIELD_LIMIT = 4_000
NOTICE_COOKIE = "z4j_notice"
"""The result of the last action, for the page that follows it. The audit trail reads it and needs no templates."""


async def read_form(request: Request, limit: int = FIELD_LIMIT) -> dict[str, str]:
    """Returns the fields of a form as text, trimmed except for passwords. Raises BadInput for files and for values that are too long."""
    fields = {}
    async with request.form(max_files=0, max_fields=50, max_part_size=64 * 1024) as form:
        for name, value in form.items():
            if not isinstance(value, str) or len(value) > limit:
                raise BadInput("The form contains a file, or a value that is too long. No changes were made.")
            fields[name] = value if name == "password" else value.strip()
    return fields


def local_path(path: str, otherwise: str = "/tasks") -> str:
    """Returns `path` if it is a page of this server, else `otherwise`."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_local else otherwise
