# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs the engines' own tests three times: plain, with our adapter and a server, with our adapter and a server that cannot be reached.

    .venvs/server/bin/python tests/upstream.py [celery dramatiq huey …]

Every test must end in all three as it ends plain. The tests come from the source distribution of the locked version; it and what the
tests need beside the engine lie under .venvs/upstream. A test that ends otherwise is run again, alone and also plain: under load, an
engine's own timing tests may fail without the adapter, too. Exit status 1 where any differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from z4j_agent.conformance.gateway import Gateway
from z4j_agent.conformance.harness import VALKEY, Harness, free_port, is_open, wait_for
from z4j_agent.conformance.rabbitmq import start_rabbitmq

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".venvs/upstream"
SUPPORT = ROOT / "tests/support/upstream"
UV = ROOT / ".venvs/uv/bin"
LONGEST_S = 1800
AGAIN_AT_MOST = 40
"""So many differences may be bad luck and are looked at again; more are not."""


@dataclass(frozen=True, slots=True)
class Suite:
    """An engine's own tests. `tests` are paths in its source distribution."""

    engine: str
    tests: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """What the tests import beside the engine's environment."""
    config: str = ""
    """Of pytest, as the distribution itself has it."""
    options: tuple[str, ...] = ()
    """For pytest: what cannot run without a database or another service, plain as well as with us."""
    has_rabbitmq: bool = False
    has_processes: bool = False
    """Whether what the tests start as processes of their own is watched, too."""
    beside: str = ""
    """A folder beside `upstream_plugin.py` whose files stand in the first folder of `tests`: fixtures that the distribution lacks."""


def _ignored(start: str, *files: str) -> tuple[str, ...]:
    """Options that leave out whole files."""
    return tuple(f"--ignore={start}{file}.py" for file in files)


def _without(file: str, *tests: str) -> tuple[str, ...]:
    """Options that leave out single tests."""
    return tuple(f"--deselect={file}::{test}" for test in tests)


SUITES = (
    Suite(
        "celery",
        ("t/unit",),
        ("pytest", "pytest-subtests", "pytest-click", "pytest-timeout", "pytest-order", "freezegun", "pydantic", "pymongo", "dnspython",
         "msgpack", "pyyaml", "cryptography"),
        "python_classes = test_*\nmarkers =\n  sleepdeprived_patched_module\n  masked_modules\n  patched_environ\n  patched_module\n"
        "  flaky\n  amqp\ntimeout = 120",
        _ignored("t/unit/backends/test_", "azureblockblob", "dynamodb", "gcs", "s3"),  # they import the clients of those services
    ),
    Suite(
        "dramatiq",
        ("tests",),
        ("pytest", "pytest-timeout", "watchdog<7"),
        "timeout = 120",
        # They look at the broker's list of middleware by its length or by position, and any middleware is in it.
        _without(
            "tests/test_broker.py",
            "test_broker_middleware_can_be_added_before_other_middleware",
            "test_broker_middleware_can_be_added_after_other_middleware",
            "test_can_instantiate_brokers_without_middleware",
        ),
        has_rabbitmq=True,
        has_processes=True,
        beside="dramatiq_tests",
    ),
    Suite("huey", ("huey/tests",), ("peewee", "django"), options=("--ignore", "huey/tests/test_postgres.py")),
    Suite(
        "arq",
        ("tests",),
        ("msgpack", "pytest<9", "pytest-asyncio<0.24", "pytest-mock", "pytest-timeout", "pytz", "tzdata", "dirty-equals", "pydantic"),
        "asyncio_mode = auto\ntimeout = 30",
    ),
    Suite(
        "taskiq",
        ("tests",),
        ("freezegun", "polyfactory", "pyzmq", "orjson", "msgpack", "cbor2", "gitignore-parser", "watchdog", "opentelemetry-test-utils",
         "opentelemetry-instrumentation", "opentelemetry-sdk", "opentelemetry-semantic-conventions"),
        "anyio_mode = auto\nlog_level = INFO",
    ),
    Suite("rq", ("tests",), ("pytest", "pytest-timeout", "psutil"), "timeout = 180", has_processes=True),
)  # fmt: skip


# -- what is run, and in what ------------------------------------------------------------------------------------------------
def locked_version(package: str) -> str:
    """As uv.lock has it. Raises LookupError where it has none."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    for found in packages:
        if found["name"] == package and "registry" in found["source"]:
            return str(found["version"])
    raise LookupError(f"uv.lock has no {package}")


def sources(suite: Suite) -> Path:
    """The folder of the engine's source distribution, fetched once."""
    version = locked_version(suite.engine)
    folder = CACHE / f"{suite.engine}-{version}"
    if not folder.exists():
        _fetch(suite, version, folder)
    if suite.beside:
        shutil.copytree(SUPPORT / suite.beside, folder / suite.tests[0], dirs_exist_ok=True)
    return folder


def _fetch(suite: Suite, version: str, folder: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        wanted = f"{suite.engine}=={version}"
        subprocess.run([UV / "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", place, wanted], check=True)
        (archive,) = Path(place).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        (unpacked,) = [path for path in Path(place).iterdir() if path.is_dir()]
        unpacked.rename(folder)


def environment_of(suite: Suite) -> Path:
    """A Python that has the engine's environment and, before it, what its tests need; in versions the engine's environment allows."""
    folder = CACHE / f"{suite.engine}-env"
    python = folder / "bin/python"
    engine = ROOT / f".venvs/{suite.engine}/bin/python"
    stamp, wanted = folder / "needs", "\n".join(suite.needs)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([UV / "uv", "venv", "-q", "--python", engine, folder], check=True)
    frozen = subprocess.run([UV / "uv", "pip", "freeze", "-q", "--python", engine], check=True, capture_output=True, text=True).stdout
    (folder / "constraints").write_text(
        "\n".join(line for line in frozen.splitlines() if "==" in line and not line.startswith(("-e", "pytest")))
    )
    install: list[str | Path] = [UV / "uv", "pip", "install", "-q", "--python", python, "-c", folder / "constraints", *suite.needs]
    subprocess.run(install, check=True)
    site = "import site; print(site.getsitepackages()[0])"
    own, theirs = (subprocess.run([of, "-c", site], check=True, capture_output=True, text=True).stdout.strip() for of in (python, engine))
    # addsitedir: our own packages are installed by .pth files there
    (Path(own) / "engine.pth").write_text(f"import site; site.addsitedir({theirs!r})\n")
    stamp.write_text(wanted)
    return python


@contextmanager
def redis() -> Iterator[int]:
    """A server of our own; yields its port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", VALKEY, str(port)])
    try:
        wait_for(lambda: is_open(port), "Redis answers")
        yield port
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def rabbitmq(suite: Suite) -> Iterator[int | None]:
    """A node of our own where the tests need one; yields its port."""
    if not suite.has_rabbitmq:
        yield None
        return
    with tempfile.TemporaryDirectory() as place:
        node = Harness(Path(place), "")
        try:
            yield start_rabbitmq(node)
        finally:
            node.tear_down()


def run(suite: Suite, url: str | None, tests: tuple[str, ...] = ()) -> dict[str, str]:
    """{test: passed, failed or skipped}; without a `url` plain. Raises RuntimeError where no test was run at all."""
    with tempfile.TemporaryDirectory() as place, redis() as port, rabbitmq(suite) as rabbitmq_port:
        outcomes = Path(place) / "outcomes.json"
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("Z4J_", "PYTEST_"))}
        variables |= {"PYTHONPATH": str(SUPPORT), "UPSTREAM_OUTCOMES": str(outcomes), "UPSTREAM_REDIS": str(port)}
        commands = [str(environment_of(suite).parent), str(ROOT / f".venvs/{suite.engine}/bin")]
        variables["PATH"] = os.pathsep.join([*commands, variables["PATH"]])
        variables |= {"UPSTREAM_RABBITMQ": str(rabbitmq_port or ""), "UPSTREAM_PROCESSES": "1" if suite.has_processes else ""}
        if url is not None:
            ours = {"UPSTREAM_ENGINE": suite.engine, "Z4J_URL": url, "Z4J_SPOOL": f"{place}/spool", "Z4J_ALLOW": "all"}
            variables |= ours
        config = Path(place) / "pytest.ini"  # else pytest would read this project's
        config.write_text(f"[pytest]\n{suite.config}\n")
        command: list[str | Path] = [
            environment_of(suite),
            "-m",
            "pytest",
            "-q",
            "-p",
            "upstream_plugin",
            "-p",
            "no:cacheprovider",
            "-c",
            config,
        ]
        command += ["--rootdir", sources(suite), *suite.options]
        ended = subprocess.run(
            [*command, *(tests or suite.tests)], cwd=sources(suite), env=variables, capture_output=True, text=True, timeout=LONGEST_S,
            check=False,
        )  # fmt: skip
        found: dict[str, str] = json.loads(outcomes.read_text()) if outcomes.exists() else {}
        if not found:
            raise RuntimeError(f"no test of {suite.engine} was run:\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}")
        return found


def differing(plain: dict[str, str], ours: dict[str, str]) -> set[str]:
    return {test for test in plain.keys() | ours.keys() if plain.get(test) != ours.get(test)}


def compare(suite: Suite) -> list[str]:
    """A line for each test that ends otherwise with our adapter."""
    gateway = Gateway()
    gateway.start()
    unreachable = gateway.url.replace(f":{gateway.port}", f":{free_port()}")
    plain = run(suite, None)
    print(f"{suite.engine} {locked_version(suite.engine)}: {_counts(plain)} plain", flush=True)
    lines = []
    for what, url in (("with a server", gateway.url), ("with an unreachable server", unreachable)):
        ours = run(suite, url)
        wrong = differing(plain, ours)
        if 0 < len(wrong) <= AGAIN_AT_MOST:
            known = tuple(sorted(test for test in wrong if test in plain and test in ours))
            wrong = (wrong - set(known)) | (differing(run(suite, None, known), run(suite, url, known)) if known else set())
        reported = len(gateway.records()) if url == gateway.url else 0
        print(f"{suite.engine}: {_counts(ours)} {what}; {len(wrong)} differ" + (f"; {reported} records" if reported else ""), flush=True)
        if url == gateway.url and not reported:
            lines.append(f"{suite.engine}: nothing was reported, so the adapter was not there")
        lines += [
            f"{suite.engine} {what}: {test}: plain {plain.get(test, 'not run')}, {ours.get(test, 'not run')}" for test in sorted(wrong)
        ]
    gateway.stop()
    return lines


def _counts(outcomes: dict[str, str]) -> str:
    return ", ".join(f"{list(outcomes.values()).count(kind)} {kind}" for kind in ("passed", "failed", "skipped"))


def main() -> int:
    wanted = sys.argv[1:] or [suite.engine for suite in SUITES]
    lines = [line for suite in SUITES if suite.engine in wanted for line in compare(suite)]
    print("\n".join(lines))
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
