# SPDX-License-Identifier: Apache-2.0
"""Commands for consumers: shutdown and restart."""

from __future__ import annotations

import signal
from typing import Any

from z4j_agent.commands import worker_end
from z4j_agent.contract.adapter import Refused, Unsupported
from z4j_huey.broker_identity import HueyPart
from z4j_huey.state import HueyState


def _listening(state: HueyState) -> Any:
    """Raises Refused if the consumer handles no signals. Until 3.1 the consumer receives SIGINT as KeyboardInterrupt, so the handler of
    SIGTERM is checked."""
    need_consumer(state)
    is_deaf = getattr(signal.getsignal(signal.SIGTERM), "__self__", None) is not state.lifecycle.consumer
    if is_deaf or signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.SIG_IGN):
        raise Refused("this consumer handles no signals. No changes were made.")
    return state.lifecycle.consumer


def need_consumer(state: HueyState) -> None:
    if state.lifecycle.consumer is None:
        raise Unsupported("this process does not run a consumer")


class WorkerCommands(HueyPart):
    """Commands for the consumer of this process."""

    def shutdown_worker(self) -> dict[str, Any]:
        """Shuts the consumer down, with Huey's signal for a graceful shutdown (huey/consumer.py). Raises Unsupported, Refused."""
        worker_end.signal_after_answer(getattr(_listening(self.serving()[0]), "_graceful_sig", signal.SIGINT))
        return {"note": "the consumer finishes its running tasks and ends. A supervisor may restart it."}

    def restart_worker(self) -> dict[str, Any]:
        """Restarts the consumer with SIGHUP: it shuts down gracefully and runs its own command again (huey/consumer.py). Raises
        Unsupported, Refused."""
        _listening(self.serving()[0])
        worker_end.signal_after_answer(signal.SIGHUP)
        return {"note": "it finishes its running tasks and restarts with the current code"}
