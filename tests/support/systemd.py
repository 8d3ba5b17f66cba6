# SPDX-License-Identifier: AGPL-3.0-or-later
"""A systemd of a test's own, as the first process of new namespaces: /etc/systemd/system, /var/lib, /run and /opt are empty there,
everything else is the machine's. It has no units but the targets that a service requires. Requires root and the package `systemd`."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.stack import wait_for

SYSTEMD: Final = Path("/lib/systemd/systemd")
UNITS: Final = "/etc/systemd/system"
TARGETS: Final = ("sysinit", "basic", "sockets", "multi-user", "shutdown")
INIT: Final = """
set -e
mount --make-rprivate /
for folder in /etc/systemd/system /var/lib /run /opt; do mount -t tmpfs tmpfs $folder; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for name in {targets}; do printf '[Unit]\\nDefaultDependencies=no\\n' > /etc/systemd/system/$name.target; done
touch /opt/z4j
mount --bind {executable} /opt/z4j
exec env -i PATH=$PATH container=test SYSTEMD_UNIT_PATH=/etc/systemd/system SYSTEMD_LOG_TARGET=console \
    {systemd} --system --unit=multi-user.target --show-status=no
"""
"""The cgroup namespace is made before this runs, so that its mount shows the group of the test as the root."""


@dataclass(frozen=True)
class Systemd:
    """`pid` is the manager, in the namespaces of the machine."""

    pid: int
    log: Path

    def run(self, *words: str, is_checked: bool = True) -> str:
        """Runs a command beside the services, as root; returns what it printed."""
        command = ["nsenter", "--target", str(self.pid), "--mount", "--pid", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if is_checked:
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log.read_text()[-2000:]}"
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """Returns a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit)

    def write(self, name: str, text: str) -> None:
        """Writes a file below /etc/systemd/system."""
        target = f"{UNITS}/{name}"
        self.run("/bin/sh", "-c", 'mkdir -p "${1%/*}"; printf %s "$2" > "$1"; chmod 0644 "$1"', "sh", target, text)


@contextlib.contextmanager
def own_systemd(folder: Path, executable: Path) -> Iterator[Systemd]:
    """Starts it, with the executable at /opt/z4j; everything that it has started ends with it."""
    assert os.geteuid() == 0, "systemd in namespaces of its own requires root"
    assert SYSTEMD.exists(), "the package systemd is not installed"
    group = _cgroups() / f"z4j-test-{os.getpid()}"
    group.mkdir()
    log = folder / "systemd.log"
    script = INIT.format(targets=" ".join(TARGETS), executable=executable, systemd=SYSTEMD)
    launch = 'echo $$ > "$1/cgroup.procs"; exec unshare --fork --pid --mount --mount-proc --cgroup --kill-child /bin/sh -c "$2"'
    with log.open("wb") as output:
        process = subprocess.Popen(["/bin/sh", "-c", launch, "sh", group, script], stdout=output, stderr=output, start_new_session=True)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_for(lambda: process.poll() is not None or children.read_text().strip(), what="the namespaces are made")
        assert process.poll() is None, log.read_text()
        made = Systemd(int(children.read_text()), log)
        running = ("systemctl", "is-system-running")
        wait_for(lambda: made.run(*running, is_checked=False) in ("running", "degraded"), what=f"systemd runs, see {log}")
        yield made
    finally:
        process.kill()
        process.wait(60)
        wait_for(lambda: not _processes(group), what="all processes of its namespaces ended")
        wait_for(lambda: _is_removed(group), what="its control groups are released")


def _processes(group: Path) -> list[str]:
    return [line for file in group.rglob("cgroup.procs") for line in file.read_text().splitlines()]


def _is_removed(group: Path) -> bool:
    """Whether the group and those below it are gone; the kernel keeps a group for a moment after its last process."""
    try:
        for each in (*sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True), group):
            each.rmdir()
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def _cgroups() -> Path:
    """Where the second version of cgroups is mounted."""
    assert shutil.which("unshare"), "unshare is not installed"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    raise AssertionError("this machine has no cgroup2 file system")
