# SPDX-License-Identifier: AGPL-3.0-or-later
"""The engines' own tests that `tests/upstream.py` runs: which, with what they need, in parts that can be run one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

REST = "rest"
"""The part that holds every test file no other part names."""


@dataclass(frozen=True, slots=True)
class Suite:
    """An engine's own tests. `tests` is their folder in its source distribution."""

    engine: str
    tests: str
    needs: tuple[str, ...] = ()
    """What the tests import beside the engine's environment."""
    config: str = ""
    """Of pytest, as the distribution itself has it."""
    options: tuple[str, ...] = ()
    """For pytest: what cannot run without a database or another service, in every arm."""
    left_out: str = ""
    """What `options` leave out, and why, for the table of results."""
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables, in every arm."""
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a part → patterns of its files below `tests`. Files no pattern matches are the part `rest`."""
    has_rabbitmq: bool = False
    has_processes: bool = False
    """Whether the adapter is installed in processes that the tests start, too."""
    is_unprivileged: bool = False
    """Whether some tests fail for root, so that root runs them in a user namespace as another user."""
    beside: str = ""
    """A folder beside this file whose files are copied into `tests`: fixtures that the distribution lacks."""
    explained: dict[str, str] = field(default_factory=dict)
    """Tests that fail in every arm on this machine, or differ from plain, with the cause."""

    def part_names(self) -> tuple[str, ...]:
        return (*self.parts, REST)

    def files(self, part: str, sources: Path) -> list[str]:
        """The test files of a part, relative to the source distribution."""
        folder = sources / self.tests
        named = {name: {path for pattern in patterns for path in folder.glob(pattern)} for name, patterns in self.parts.items()}
        everything = {*folder.rglob("test_*.py"), *folder.rglob("*_tests.py")}
        wanted = everything - set().union(*named.values()) if part == REST else named[part]
        ignored = {option.removeprefix("--ignore=") for option in self.options if option.startswith("--ignore=")}
        return sorted(name for path in wanted if (name := str(path.relative_to(sources))) not in ignored)


def _ignored(start: str, *files: str) -> tuple[str, ...]:
    """Options that leave out whole files."""
    return tuple(f"--ignore={start}{file}.py" for file in files)


def _without(file: str, *tests: str) -> tuple[str, ...]:
    """Options that leave out single tests."""
    return tuple(f"--deselect={file}::{test}" for test in tests)


SUITES = (
    Suite(
        "huey",
        "huey/tests",
        ("peewee", "django", "pytest-timeout"),
        "timeout = 120",
        _ignored("huey/tests/test_", "postgres"),
        "`test_postgres.py`: needs a PostgreSQL server",
    ),
    Suite(
        "arq",
        "tests",
        ("msgpack", "pytest<9", "pytest-asyncio<0.24", "pytest-mock", "pytest-timeout", "pytz", "tzdata", "dirty-equals", "pydantic",
         "watchfiles"),
        "asyncio_mode = auto\ntimeout = 30",
    ),
    Suite(
        "taskiq",
        "tests",
        ("freezegun", "polyfactory", "pyzmq", "orjson", "msgpack", "cbor2", "gitignore-parser", "watchdog", "opentelemetry-test-utils",
         "opentelemetry-instrumentation", "opentelemetry-sdk", "opentelemetry-semantic-conventions", "pytest-timeout"),
        "anyio_mode = auto\nlog_level = INFO\ntimeout = 120",
    ),
    Suite(
        "dramatiq",
        "tests",
        ("pytest", "pytest-timeout", "watchdog<7"),
        "timeout = 120",
        _without(
            "tests/test_broker.py",
            "test_broker_middleware_can_be_added_before_other_middleware",
            "test_broker_middleware_can_be_added_after_other_middleware",
            "test_can_instantiate_brokers_without_middleware",
        ),
        "3 tests of `test_broker.py` that compare the broker's list of middleware by length or position: any added middleware is in it",
        parts={"rabbitmq": ("test_rabbitmq.py",), "processes": ("test_cli.py", "test_watch.py", "test_pidfile.py")},
        has_rabbitmq=True,
        has_processes=True,
        beside="dramatiq_tests",
    ),
    Suite(
        "rq",
        "tests",
        ("pytest", "pytest-timeout", "psutil"),
        "timeout = 180",
        parts={
            "worker": ("test_worker.py",),
            "pool, spawn, commands, scheduler": ("test_worker_pool.py", "test_spawn_worker.py", "test_commands.py", "test_scheduler.py"),
            "job, cron": ("test_job*.py", "test_cron*.py"),
        },
        has_processes=True,
    ),
    Suite(
        "celery",
        "t/unit",
        ("pytest", "pytest-subtests", "pytest-click", "pytest-timeout", "pytest-order", "freezegun", "pydantic", "pymongo", "dnspython",
         "msgpack", "pyyaml", "cryptography"),
        "python_classes = test_*\nmarkers =\n  sleepdeprived_patched_module\n  masked_modules\n  patched_environ\n  patched_module\n"
        "  flaky\n  amqp\ntimeout = 120",
        _ignored("t/unit/backends/test_", "azureblockblob", "dynamodb", "gcs", "s3"),
        "the result backends Azure, DynamoDB, GCS and S3: they import the clients of those services",
        parts={name: (f"{name}/**/test_*.py",) for name in ("app", "backends", "tasks", "concurrency", "worker")},
        is_unprivileged=True,
        explained={
            "t/unit/concurrency/test_eventlet.py::test_aaa_eventlet_patch::test_aaa_blockdetecet": (
                "fails plain, alone too: the suite's own set-up puts stand-ins in the place of the modules `eventlet.*`, so the function "
                "that the test has replaced is not the one that is called"
            ),
            "t/unit/contrib/test_pytest.py::test_pytest_celery_marker_registration": (
                "fails plain: it expects that pytest refuses the mark of a plugin that is not loaded, which pytest does in strict mode only"
            ),
        },
    ),
)  # fmt: skip
