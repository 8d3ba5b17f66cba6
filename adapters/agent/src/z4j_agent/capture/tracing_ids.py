# SPDX-License-Identifier: Apache-2.0
"""The IDs of the running task in OpenTelemetry and Sentry, where the application uses them.

Their packages are never imported: only what the application has imported is read, and nothing is changed.
"""

from __future__ import annotations

import sys
from typing import Any

from z4j_agent.capture.guard import faults, let_through

_MODULES = sys.modules


def trace_id() -> str:
    """The trace of OpenTelemetry's current span as 32 hexadecimal digits, "" where there is no valid span.

    Where nothing is set in the context there is no span either. This is asked first: a library of the application may have imported
    OpenTelemetry although nobody uses it, as redis-py does, and then it runs for every task.
    """
    try:
        contexts, module = _MODULES.get("opentelemetry.context"), _MODULES.get("opentelemetry.trace")
        if contexts is not None and not contexts.get_current():
            return ""
        context = module.get_current_span().get_span_context() if module is not None else None
        return f"{context.trace_id:032x}" if context is not None and context.is_valid else ""
    except Exception as error:
        let_through(error)
        faults.report("trace id", error)
        return ""


def sentry_event_id() -> str:
    """Returns the ID of the last event that Sentry's SDK has sent from here (`sentry_sdk.last_event_id`), "" where there is none. Never
    raises."""
    try:
        module = _MODULES.get("sentry_sdk")
        return str(module.last_event_id() or "") if module is not None else ""
    except Exception as error:
        let_through(error)
        faults.report("Sentry event id", error)
        return ""


def sentry_scope() -> Any:
    """Returns the isolation scope of Sentry's SDK that is current here, which has the last event; None where there is none, as in an SDK
    without `get_isolation_scope`. Never raises."""
    try:
        get_scope = getattr(_MODULES.get("sentry_sdk"), "get_isolation_scope", None)
        return get_scope() if get_scope is not None else None
    except Exception as error:
        let_through(error)
        faults.report("Sentry scope", error)
        return None
