# SPDX-License-Identifier: AGPL-3.0-or-later
"""Whatever an agent sends, at most its own session ends, with a code that says why; nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.stack import Stack, stack, wait_for
from tests.support.wire_client import WireClient, life, now
from z4j_agent import wire


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack(tmp_path_factory.mktemp("bad-input")) as made:
        made.command("migrate")
        made.add_app()
        made.start_server()
        yield made


def read_to_the_end(client: WireClient) -> None:
    while True:
        client.hear()


def close_code(client: WireClient) -> int:
    """Reads until the server closes; returns its code."""
    with pytest.raises(ConnectionClosed) as closed:
        read_to_the_end(client)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_wrong_token(server: Stack) -> None:
    with WireClient(server.url, token="z4a_" + "x" * 43, say_hello=False) as client:
        assert close_code(client) == wire.BAD_TOKEN


BAD_FRAMES: list[tuple[str, Callable[[WireClient], Any], set[int]]] = [
    ("unknown protocol", lambda c: c.say(c.hello(protocol=99)), {wire.BAD_PROTOCOL}),
    ("hello without fields", lambda c: c.say({"type": "hello", "protocol": 1}), {wire.MALFORMED}),
    ("not JSON", lambda c: c.socket.send("{]"), {wire.MALFORMED}),
    ("JSON of another shape", lambda c: c.socket.send("[1, 2]"), {wire.MALFORMED}),
    ("unknown frame", lambda c: c.say({"type": "dance"}), {wire.MALFORMED}),
    ("a batch before hello", lambda c: c.socket.send(wire.pack_batch(1, b"")), {wire.MALFORMED, wire.FORBIDDEN}),
    (
        "a lone surrogate in a name",
        lambda c: c.socket.send('{"type": "hello", "protocol": 1, "boot": "\\ud800"}'),
        {wire.MALFORMED},
    ),
    ("too big", lambda c: c.socket.send(b"x" * (wire.MAX_FRAME + 1)), {wire.TOO_BIG, 1009}),
]


@pytest.mark.parametrize(("send", "codes"), [(send, codes) for _, send, codes in BAD_FRAMES], ids=[name for name, _, _ in BAD_FRAMES])
def test_bad_frame_ends_its_session_only(server: Stack, send: Callable[[WireClient], Any], codes: set[int]) -> None:
    with WireClient(server.url) as neighbour:
        with WireClient(server.url, say_hello=False) as client:
            send(client)
            assert close_code(client) in codes
        neighbour.send_and_wait(neighbour.origin())


def test_truncated_batch_after_hello(server: Stack) -> None:
    with WireClient(server.url) as client:
        client.socket.send(b"\x00\x01")
        assert close_code(client) == wire.MALFORMED


HOUR = 3_600_000_000
BAD_RECORDS: list[tuple[str, bytes]] = [
    ("a torn record", b'\x1e["started","celery","torn'),
    ("binary", b"\x1e\xff\xfe\x00\x01\n"),
    ("another shape", wire.encode_record(["started", "celery"])),
    ("unknown kind", wire.encode_record(["danced", "celery", "x", 0, now(), "b.1", "n", "q", None])),
    (
        "an event from the future",
        wire.encode_record(["started", "celery", "future", 0, now() + 48 * HOUR, "b.1", "n", "q", None]),
    ),
    ("a NUL in a name", wire.encode_record(["started", "celery", "nul", 0, now(), "b.1", "n\x00m", "q", None])),
    ("a lone surrogate", wire.encode_record(["started", "celery", "sur\ud800rogate", 0, now(), "b.1", "n", "q", None])),
    ("a task id too long", wire.encode_record(["started", "celery", "t" * 300, 0, now(), "b.1", "n", "q", None])),
    (
        "a number beyond 64 bits",
        wire.encode_record(["started", "celery", "big", 1 << 70, now(), "b.1", "n", "q", None]),
    ),
    ("a server's fact", wire.encode_record(["due", "celery", "due", 0, now(), "b.1", "n", "q"])),
]


@pytest.mark.parametrize("record", [record for _, record in BAD_RECORDS], ids=[name for name, _ in BAD_RECORDS])
def test_bad_record_is_counted_and_its_neighbours_arrive(server: Stack, record: bytes) -> None:
    before = sum(int(row[0]) for row in server.rows("SELECT events FROM refused"))
    tasks = len(server.states())
    with WireClient(server.url) as client:
        client.send_and_wait(client.origin() + life(client.boot, now(), now()) + record)
        client.send_and_wait(life(client.boot, now(), now()))
    assert len(server.states()) == tasks + 2
    if b"torn" not in record:
        assert sum(int(row[0]) for row in server.rows("SELECT events FROM refused")) == before + 1


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


@pytest.mark.long  # a million events, for the writer's page cache has to be full first
def test_memory_stays_flat(server: Stack) -> None:
    """After warm-up the resident size grows by less than 1 MB per 100,000 events, good and bad ones mixed."""
    pid = server.children[-1].process.pid
    sizes = []
    with WireClient(server.url) as client:
        client.send_and_wait(client.origin())
        for part in range(13):
            for batch in range(20):
                first = (part * 20 + batch) * 1000
                records = b"".join(life(client.boot, 10**9 + first + n, now() - 20_000) for n in range(1000))
                client.send_and_wait(records[: wire.MAX_FRAME // 2].rpartition(b"\x1e")[0])
                client.send_and_wait(records[wire.MAX_FRAME // 2 :][: wire.MAX_FRAME - 8] + BAD_RECORDS[2][1])
            sizes.append(resident_kb(pid))
    # Warm means that the writer's page cache (64 MB) is full.
    events = 4 * 20 * 1000 * 4
    slope = (sizes[-1] - sizes[8]) / events * 100_000
    assert slope < 1024, f"{slope:.0f} kB per 100,000 events: {sizes} kB"


def test_hostile_arguments_reach_the_page_harmlessly(shop: Stack) -> None:
    """10 MB arguments and a lone surrogate: the task runs, its row is there, shortened, and the page renders."""
    worker = shop.start_worker()
    [big] = shop.produce("shop.ship", 1, '["%s"]' % ("x" * 100_000))
    [odd] = shop.produce("shop.ship", 1, '["\\ud800<script>alert(1)</script>"]')
    wait_for(lambda: {big, odd} <= set(shop.states()), what="both tasks arrived")
    [(longest,)] = shop.rows("SELECT max(length(args)) FROM task")
    assert int(longest) <= 2_000
    assert worker.end() == 0
