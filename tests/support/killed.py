# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a command of z4j again and again, each time on a fresh copy of a folder, and kills it with SIGKILL at another step.

A step is a call from the store, from `files` or from the command into the operating system or SQLite. A profile function counts these
calls in a forked process, so that every step is reached, and none depends on time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support.stack import ROOT, SERVER_PYTHON

_PROGRAM: Final = r"""
import importlib, json, os, shutil, signal, sys
from pathlib import Path
from z4j import cli, logs

base, folder, every, words = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
CALLS = {"execute", "executemany", "executescript", "connect",
         "backup", "open", "close", "rename", "replace", "link", "unlink", "remove", "fsync", "write",
         "ftruncate", "flock", "mkdir", "chmod"}
PLACES = ("z4j/store/", "z4j/files.py", "z4j/cli/installation/", "z4j/operations/", "pathlib")

def child(copy, step, at_end=lambda: None):
    seen = 0
    def profile(frame, event, called):
        nonlocal seen
        if event != "c_call" or called.__name__ not in CALLS or not any(place in frame.f_code.co_filename for place in PLACES):
            return
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)
    out = os.open(copy / "output", os.O_CREAT | os.O_WRONLY)
    os.dup2(out, 1), os.dup2(out, 2)
    sys.setprofile(profile)
    import threading
    threading.setprofile(profile)
    code = cli.main([word.replace("{data}", str(copy)) for word in words] + ["--data", str(copy)])
    sys.stdout.flush()
    at_end()
    os._exit(code)

def preload():
    "Imports what the command imports, so that a step is of the command, and is not paid for by each of them."
    copy, (out, back) = folder / "first", os.pipe()
    shutil.copytree(base, copy)
    if not os.fork():
        child(copy, 0, lambda: os.write(back, json.dumps([name for name in sys.modules if name.startswith("z4j")]).encode()))
    os.close(back)
    with os.fdopen(out) as names:
        for name in json.loads(names.read()):
            importlib.import_module(name)
    os.wait()
    shutil.rmtree(copy)

preload()
step, results = 1, []
while True:
    copy = folder / f"step{step:04}"
    shutil.copytree(base, copy)
    pid = os.fork()
    if pid == 0:
        try:
            child(copy, step)
        finally:
            os._exit(99)
    status = os.waitpid(pid, 0)[1]
    results.append((step, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)))
    if not os.WIFSIGNALED(status):
        break
    step += every
print(json.dumps(results))
"""


def kill_at_steps(base: Path, folder: Path, *words: str, every: int = 1) -> list[Path]:
    """Runs `z4j WORDS` on copies of `base` in `folder`, killed at step 1, 1 + every, … until it ends. Returns the copies of the killed
    runs. `{data}` in a word is the copy. The last run, which is not killed, must succeed."""
    folder.mkdir()
    command = [str(SERVER_PYTHON), "-c", _PROGRAM, str(base), str(folder), str(every), json.dumps(words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    last, code = results.pop()
    whole = folder / f"step{last:04}"
    assert code == 0, f"{code}: {(whole / 'output').read_text()}"
    shutil.rmtree(whole)
    assert {code for _, code in results} == {-9}, "every other run was killed"
    return [folder / f"step{step:04}" for step, _ in results]
