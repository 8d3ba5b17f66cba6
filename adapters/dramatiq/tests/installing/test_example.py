# SPDX-License-Identifier: Apache-2.0
"""The example runs as its README says, and Dramatiq's own behaves the same with z4j as without, also without a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from z4j_agent.conformance import ExampleContract, Harness, wait_for

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
DOCUMENTED = """
import sys
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from dramatiq.results.errors import ResultFailure

broker = RedisBroker(port=PORT)
broker.add_middleware(Results(backend=RedisBackend(port=PORT)))
INSTALL
dramatiq.set_broker(broker)

def get(url):
    return "word " * len(url)

@dramatiq.actor(store_results=True)
def count_words(url):
    count = len(get(url).split(" "))
    print(f"There are {count} words at {url!r}.")
    return count

@dramatiq.actor(max_retries=1, min_backoff=50, max_backoff=60, store_results=True)
def break_down(url):
    print(f"Breaking at {url!r}.")
    raise LookupError(url)

if __name__ == "__main__":
    messages = [count_words.send(url) for url in ("http://example.com", "a")]
    (count_words.message("b") | count_words.message_with_options(args=("c",), pipe_ignore=True)).run()
    for message in messages:
        print(message.asdict()["options"].keys(), message.get_result(block=True))
    try:
        break_down.send("dawn").get_result(block=True)
    except ResultFailure as error:
        print(error, error.orig_exc_type)
        sys.exit(7)
"""


class TestDramatiq(ExampleContract):
    folder = EXAMPLES / "dramatiq"
    worker = ("-m", "dramatiq", "app", "-p", "1", "-t", "2")
    producer = ("-c", "from app import add; add.send(2, 3)")
    prints = ""
    expected = ("add", "default", "null")
    files: ClassVar[Mapping[str, str]] = {"documented.py": DOCUMENTED}
    install = "import z4j_dramatiq; z4j_dramatiq.install(broker)"

    def run_own(self, broker: Harness, folder: Path, variant: str) -> dict[str, Any]:
        # one thread: what two print into Dramatiq's pipe at once is torn
        worker = self.begin(broker, folder, "-m", "dramatiq", "documented", "-p", "1", "-t", "1")
        made = self.run(broker, folder, "documented.py")
        wait_for(lambda: broker.log(folder.name).count("There are") == 4, "the pipeline ran")
        worker.terminate()
        status = worker.wait(60)
        lines = [
            re.sub(r"^\[[^]]*\] ", "", re.sub(r"[0-9a-f-]{36}|\d+ milliseconds|0x[0-9a-f]+", "…", line))
            for line in broker.log(folder.name).splitlines()
        ]
        logged = sorted(
            x for x in lines if x.startswith(("There are", "Breaking", "LookupError")) or re.search(r" \[(WARNING|ERROR)\] ", x)
        )
        return {
            "producer": (made.returncode, made.stdout, made.stderr),
            "status": status,
            "worker": [re.sub(r"\[PID \d+\] ", "", line) for line in logged],
        }

    def check_own(self, seen: dict[str, Any]) -> None:
        assert seen["producer"][0] == 7
        assert "There are 19 words at 'http://example.com'." in seen["worker"]
        assert seen["worker"].count("Breaking at 'dawn'.") == 2
