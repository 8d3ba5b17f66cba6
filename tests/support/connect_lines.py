# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads the page Connect an app as a person does, and makes environments of applications that have nothing of z4j."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

from tests.support.stack import ROOT

PIP = str(ROOT / ".venvs/uv/bin/python")
OURS = ("z4j", "--editable", "websockets", "cryptography", "cffi", "pycparser", "-cffi")


def blocks(page: str) -> dict[str, str]:
    """{title: text to paste}"""
    found = re.findall(r"<h3>(.*?)</h3>.*?<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    return {html.unescape(title): html.unescape(text) for title, text in found}


def step_states(page: str) -> dict[str, str]:
    """{step: done, waiting or wrong}"""
    found = re.findall(r'<li class="reached is-(\w+)">.*?<span class="word">(.*?)</span>', page, re.DOTALL)
    return {name: state for state, name in found}


def steps_path(page: str) -> str:
    """The path of the steps of a page with lines."""
    found = re.search(r'hx-get="(/connect/\d+[^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def make_site(folder: Path) -> Path:
    """A virtual environment without anything, with a `pip` beside its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = folder / "bin/pip"
    pip.write_text(f'#!/bin/sh\nexec {PIP} -m pip --python {folder}/bin/python --no-cache-dir "$@"\n')
    pip.chmod(0o755)
    return folder


def add_engine(site: Path, engine: str) -> None:
    """Adds what is installed in the environment of an engine, without anything of z4j and without what only z4j needs."""
    python = str(ROOT / f".venvs/{engine}/bin/python")
    words = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    installed = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    links = site / "engine"
    links.mkdir()
    for path in installed.iterdir():
        if not path.name.lower().replace("_", "-").startswith(OURS) and path.suffix != ".pth":
            (links / path.name).symlink_to(path)
    next(site.glob("lib/python3*/site-packages")).joinpath("engine.pth").write_text(f"{links}\n")
