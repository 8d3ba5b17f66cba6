# SPDX-License-Identifier: Apache-2.0
"""For the tests of every adapter: which of them wait for `make test-long`, which processes are forked, and the assertions of the contract
shown with their values.

A proof is in `make test` once: with each engine, where it is of the engine; with Celery and the toy engine of the agent's own tests, where
it is of the agent. What repeats it under another engine, pool, storage or scheduler is marked long. `make test-long` runs all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

CONFORMANCE: Final = Path(__file__).parent / "agent/src/z4j_agent/conformance"
MODULES = [path.relative_to(CONFORMANCE).with_suffix("") for path in CONFORMANCE.rglob("*.py") if path.stem != "__init__"]
pytest.register_assert_rewrite(*(".".join(("z4j_agent.conformance", *module.parts)) for module in MODULES))

REFERENCE: Final = "celery"
AGENT_WIDE: Final = frozenset(
    {
        # what was captured, from the spool to the server
        "test_odd_text_is_reported",
        "test_large_arguments_are_cut_not_dropped",
        "test_without_a_server_tasks_run_and_are_told_later",
        "test_what_was_not_acked_is_sent_again",
        "test_a_refused_token_does_not_disturb_tasks",
        "test_without_a_connection_string_nothing_happens",
        "test_without_a_server_it_fires_all_the_same",
        "test_a_full_spool_gives_up_the_oldest_and_says_so",
        # commands, before an engine sees them
        "test_undeclared_actions_are_unsupported",
        "test_a_command_delivered_twice_runs_once",
        "test_a_command_that_comes_too_late_is_not_carried_out",
        "test_with_read_nothing_is_carried_out",
        "test_what_the_owner_denies_is_not_carried_out",
        "test_the_owner_has_the_last_word",
        "test_an_edit_that_does_not_fit_is_refused",
        "test_an_older_server_names_no_broker_and_means_all",
        "test_one_of_two_paused_brokers_goes_on",
        "test_what_was_too_large_to_keep_is_refused",
        "test_what_was_cut_off_in_the_middle_is_unknown",
        "test_what_a_dead_worker_never_read_is_done_once_by_the_next",
    }
)
"""Tests of the contract that prove code of the agent, whichever engine it watches: with all but REFERENCE they are long."""


FRESH: Final = frozenset({"test_conformance.py", "test_example.py", "test_install.py", "test_other_tools.py"})
"""Files whose workers and producers are new interpreters: in the contract, everything is imported in the order of an application. The
processes of all others are forked from one that has imported the libraries, which saves a third of the time."""


@pytest.fixture(scope="module", autouse=True)
def _processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Decides how the processes of a file start."""
    from tests.support import forked
    from z4j_agent.conformance.harness import Harness, StartedProcess

    def start(command: Sequence[str], **options: Any) -> StartedProcess:
        return forked.start(command, **options) if forked.is_forkable(command) else StartedProcess(command, **options)

    if request.path.name not in FRESH:
        Harness.start_process = start
    yield
    Harness.start_process = StartedProcess


@pytest.hookimpl(tryfirst=True)  # before pytest itself looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is long: AGENT_WIDE, and of a class with `essentials`, which repeats the proofs of another, all that it does not name."""
    here = Path(__file__).parent
    for item in (item for item in items if item.path.is_relative_to(here)):
        engine = item.path.relative_to(here).parts[0]
        names = {item.name, getattr(item, "originalname", item.name)}
        essentials = getattr(getattr(item, "cls", None), "essentials", None)
        is_agent_wide = engine not in (REFERENCE, "agent") and names & AGENT_WIDE
        if is_agent_wide or (essentials is not None and not names & set(essentials)):
            item.add_marker(pytest.mark.long)
