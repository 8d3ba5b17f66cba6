# SPDX-License-Identifier: AGPL-3.0-or-later
"""What browsers send back: short texts of a form, and the page to return to."""

from __future__ import annotations

from starlette.requests import Request

from z4j.exceptions import BadInput

FIELD_LIMIT = 4_000


async def read_form(request: Request, limit: int = FIELD_LIMIT) -> dict[str, str]:
    """The fields of a form as texts, trimmed but for passwords. Raises BadInput for files and for what is too long."""
    found = {}
    async with request.form(max_files=0, max_fields=50, max_part_size=64 * 1024) as form:
        for name, value in form.items():
            if not isinstance(value, str) or len(value) > limit:
                raise BadInput("The form holds something that does not belong there. Nothing was changed.")
            found[name] = value if name == "password" else value.strip()
    return found


def local_path(path: str, otherwise: str = "/tasks") -> str:
    """`path` when it leads to a page of this server, never to another one."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_local else otherwise
