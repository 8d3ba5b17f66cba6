# SPDX-License-Identifier: Apache-2.0
"""Writers with threads and forked children, competing shippers, everything killed at random, acks lost: nothing may be lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.spool import spool as spool_module
from z4j_agent.spool.shipper import Shipper
from z4j_agent.spool.spool import Spool, prepare_folder
from z4j_agent.wire import encode_record, split_records

SECONDS = float(os.environ.get("Z4J_TORTURE_S", "6"))


def write_for_ever(spool: Spool, witness: Path, name: str) -> None:
    """Each captured record is witnessed *after* append said True; so a witness without its record is a loss."""
    fd = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    n = 0
    while True:
        n += 1
        if spool.append(encode_record(["r", f"{name}.{n}", "x" * random.randrange(200)])):
            os.write(fd, f"{name}.{n}\n".encode())
        if n % 4 == 0:
            time.sleep(0.005)


def writer(folder: Path, witness: Path, name: str) -> None:
    spool = Spool(folder, lambda: encode_record(["origin", name, 1, {}]))
    spool.new_segment()
    for child in range(2):
        if os.fork() == 0:
            spool.after_fork_in_child()
            write_for_ever(spool, witness, f"{name}.c{child}")
    threading.Thread(target=write_for_ever, args=(spool, witness, f"{name}.t"), daemon=True).start()
    write_for_ever(spool, witness, f"{name}.m")


def ship_for_ever(folder: Path, arrived: Path, seed: int) -> None:
    dice = random.Random(seed)
    spool = Spool(folder, lambda: encode_record(["origin", "shipper", 1, {}]))
    shipper = Shipper(folder, 1 << 30, spool.append)
    fd = os.open(arrived, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        if not shipper.try_take():
            time.sleep(0.005)
            continue
        while (batch := shipper.next_batch()) is not None:
            os.write(fd, batch.data)
            if dice.random() < 0.02:
                shipper.rewind()  # the ack was lost, and the connection with it
            else:
                shipper.acked(batch)
        shipper.tidy()
        time.sleep(0.005)


def fork(act: Any, *args: Any) -> int:
    if (pid := os.fork()) != 0:
        with contextlib.suppress(OSError):  # both sides say it, or the group may not be there when it is to be killed
            os.setpgid(pid, pid)
        return pid
    os.setpgid(0, 0)
    try:
        act(*args)
    finally:
        os._exit(1)


def kill(pid: int, *, group: bool) -> None:
    (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.timeout(120)
def test_nothing_captured_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROTATE_BYTES", 6_000)
    folder, witness, arrived = tmp_path / "spool", tmp_path / "witness", tmp_path / "arrived"
    prepare_folder(folder)
    dice = random.Random(11)
    groups: set[int] = set()
    writers = [fork(writer, folder, witness, f"w{n}") for n in range(2)]
    shippers = [fork(ship_for_ever, folder, arrived, n) for n in range(3)]
    groups.update(writers)
    ends, kills = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < ends:
            time.sleep(dice.uniform(0.1, 0.3))
            kills += 1
            if dice.random() < 0.5:
                at = dice.randrange(3)
                kill(shippers[at], group=False)
                shippers[at] = fork(ship_for_ever, folder, arrived, 100 + kills)
            else:
                at = dice.randrange(2)
                kill(writers[at], group=dice.random() < 0.5)  # the main alone: its children write on
                writers[at] = fork(writer, folder, witness, f"w{100 + kills}")
                groups.add(writers[at])
    finally:
        for pid in groups:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for pid in writers:
            os.waitpid(pid, 0)
    until = time.monotonic() + 60
    while list(folder.glob("*.seg")) and time.monotonic() < until:
        time.sleep(0.05)
    left = [path.name for path in folder.glob("*.seg")]
    for pid in shippers:
        kill(pid, group=False)
    captured = set(witness.read_text().split())
    shipped = {shipped_record[1] for part in split_records(arrived.read_bytes()) if (shipped_record := json.loads(part))[0] == "r"}
    assert len(captured) > 500
    assert left == [], "the shippers were not done in time"
    assert captured - shipped == set()
    assert kills > SECONDS
