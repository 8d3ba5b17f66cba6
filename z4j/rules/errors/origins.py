# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads from the text of a Python traceback in which functions a failure began and was raised, and what caused it. Pure.

Line numbers and the folder of a deployment are left out: they change with every release. Functions between the two are left out as well:
what a refactoring adds or removes there does not make another problem of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

LIMIT: Final = 64_000
"""Characters of a traceback that are read: its end, which contains what was raised."""
FRAME: Final = re.compile(r'File "(?P<file>[^"]{1,500})", line (?P<line>\d+)(?:, in (?P<function>.{1,200}))?')
LIBRARY: Final = re.compile(r"(site-packages|dist-packages|[/\\]lib[/\\]python\d|^<frozen |[/\\]Lib[/\\])")
"""Files that do not belong to the application."""
CAUSES: Final = 5
"""Exceptions of a chain that count, the last ones."""
LINE: Final = 300
"""Characters of a line of code, with the name of its function."""

_LEADS: Final = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
_TITLE: Final = re.compile(r"(?:Exception Group )?Traceback \(most recent call last\):")
_TYPE: Final = re.compile(r"[A-Za-z_][\w.]{0,200}(?=:|$)")
_PACKAGED: Final = re.compile(r"(?:site|dist)-packages[/\\]")
_ENGINES: Final = frozenset({"celery", "billiard", "kombu", "rq", "dramatiq", "huey", "arq", "taskiq", "apscheduler"})
_GENERIC: Final = frozenset(
    {"app", "apps", "src", "code", "srv", "opt", "current", "workspace", "work", "home", "lib", "project", "build", "repo", "site", "tmp"}
)
_COMPREHENSIONS: Final = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"})
"""Since Python 3.12 most of them have no frame of their own."""
_GENERATED: Final = re.compile(r"(?<=_)(?=[a-f]*\d)[0-9a-f]{6,}(?=_|$)|\d{4,}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a failure comes from. Empty where the traceback does not show it."""

    entry: str = ""
    """The first function of the application, as `package.module.function`: usually the task."""
    function: str = ""
    """The last function of the application, which raised the exception or called what did."""
    causes: tuple[str, ...] = ()
    """Class names of the exceptions that led to it, and of those in a group; the first raised first."""


class _Frame(NamedTuple):
    file: str
    function: str
    code: str
    """Its line of source or, where the traceback does not have it, its number."""


@dataclass(slots=True)
class _Part:
    frames: list[_Frame]
    error_type: str = ""
    is_group: bool = False


def is_library(file: str) -> bool:
    """Whether a file belongs to a library or to Python, not to the application."""
    return LIBRARY.search(file) is not None


def origin_of(traceback: str) -> Origin:
    """Returns where a failure comes from. Any text is allowed; one without frames has no origin."""
    is_cut = traceback.startswith("…") or len(traceback) > LIMIT
    parts = _parts(traceback[-LIMIT:])
    if not parts:
        return Origin()
    group = _group_of(parts)
    raised = parts[-1] if group is None else parts[group]
    others = parts[:-1] if group is None else parts[:group] + parts[group + 1 :]
    entry, function = _ends(raised.frames)
    if is_cut and raised is parts[0]:
        entry = ""  # the beginning is missing
    inner = [_ends(part.frames)[1] if group is not None else "" for part in others]
    causes = [f"{part.error_type}@{where}" if where else part.error_type for part, where in zip(others, inner, strict=True)]
    return Origin(entry, function, tuple(dict.fromkeys(cause for cause in causes if cause))[-CAUSES:])


def line_of(traceback: str) -> str:
    """Returns the line of the application that raised the exception or called what did: `package.module.function: its source`.

    A line is known by its source, since its number changes with every release; by its number only where the source is missing. Empty where
    the traceback has no frame of the application."""
    parts = _parts(traceback[-LIMIT:])
    if not parts:
        return ""
    group = _group_of(parts)
    own = _own(parts[-1 if group is None else group].frames)
    return f"{_name(own[-1])}: {own[-1].code}"[:LINE] if own else ""


def _group_of(parts: list[_Part]) -> int | None:
    return next((number for number, part in enumerate(parts) if part.is_group), None)


def _parts(text: str) -> list[_Part]:
    parts = [_Part([])]
    is_head = True  # the line with the type follows the frames, and more lines of the message may follow that
    indent = -1  # of the frame in the line before
    for raw in text.splitlines():
        stripped = raw.lstrip(" |+")
        before, indent = indent, -1
        if match := FRAME.fullmatch(stripped):
            parts[-1].frames.append(_Frame(match["file"], match["function"] or "", f"line {match['line']}"))
            is_head, indent = True, len(raw) - len(stripped)
        elif -1 < before < len(raw) - len(stripped):
            parts[-1].frames[-1] = parts[-1].frames[-1]._replace(code=stripped.strip())
        elif title := _TITLE.search(stripped):
            if parts[-1].frames or parts[-1].error_type:
                parts.append(_Part([]))
            parts[-1].is_group = title[0].startswith("Exception Group")
            is_head = True
        elif stripped in _LEADS or stripped.startswith(("-+---", "---")):
            parts.append(_Part([]))
            is_head = True
        elif is_head and (not raw.startswith("  ") or _is_type_in_group(raw)) and (kind := _TYPE.match(stripped)):
            parts[-1].error_type = kind[0].rpartition(".")[2]
            is_head = False
    return [part for part in parts if part.frames or part.error_type]


def _is_type_in_group(raw: str) -> bool:
    """Whether a line is one of an exception group, and not indented after its bar as lines of source are."""
    after = raw.lstrip(" ")
    return after.startswith("| ") and not after.startswith("|  ")


def _ends(frames: list[_Frame]) -> tuple[str, str]:
    """The names of the first and of the last function of the application."""
    own = _own(frames)
    return (_name(own[0]), _name(own[-1])) if own else ("", "")


def _own(frames: list[_Frame]) -> list[_Frame]:
    """The frames of the application; of an installed application those of its package."""
    shown = [frame for frame in frames if frame.function not in _COMPREHENSIONS]
    own = [frame for frame in shown if not is_library(frame.file) and not frame.file.startswith("<")]
    if not own:
        packaged = [frame for frame in shown if _package(frame.file)]
        first = next((_package(frame.file) for frame in packaged if _package(frame.file) not in _ENGINES), "")
        own = [frame for frame in packaged if _package(frame.file) == first] if first else packaged[-1:]
    return own


def _package(file: str) -> str:
    parts = _PACKAGED.split(file)
    return re.split(r"[/\\.]", parts[-1], maxsplit=1)[0] if len(parts) > 1 else ""


def _name(frame: _Frame) -> str:
    inside = _PACKAGED.split(frame.file)
    parts = [part for part in re.split(r"[/\\]", inside[-1]) if part]
    if len(inside) == 1:
        parts = [part for part in parts[-2:-1] if not _is_of_deployment(part)] + parts[-1:]
    if parts:
        parts[-1] = parts[-1].removesuffix(".py").removesuffix(".pyc")
    return ".".join([*parts, _GENERATED.sub("*", frame.function)])[-200:]


def _is_of_deployment(folder: str) -> bool:
    return folder.lower() in _GENERIC or any(char.isdigit() for char in folder)
