# SPDX-License-Identifier: AGPL-3.0-or-later
"""Defines in one table which role permits what. Pure."""

from __future__ import annotations

from typing import Final, Literal

from z4j.rules.commands import RULES

Role = Literal["viewer", "auditor", "operator", "admin"]
ROLES: Final = ("viewer", "auditor", "operator", "admin")
PACKAGES: Final = "packages"
"""The role of an index token: it reads the appliance's packages and nothing else."""
METRICS: Final = "metrics"
"""The role of a token that reads /metrics and nothing else."""
Needed = Literal["public", "packages", "metrics", "viewer", "auditor", "operator", "admin"]

#: What a route or action needs → the roles that have it. The auditor reads everything and does nothing.
ALLOWED: Final[dict[str, frozenset[str]]] = {
    "packages": frozenset({"packages", "viewer", "auditor", "operator", "admin"}),
    "metrics": frozenset({"metrics", "viewer", "auditor", "operator", "admin"}),
    "viewer": frozenset({"viewer", "auditor", "operator", "admin"}),
    "auditor": frozenset({"auditor", "admin"}),
    "operator": frozenset({"operator", "admin"}),
    "admin": frozenset({"admin"}),
}

#: Actions → what they need: those of agents, those of plans that the server executes itself, and what users decide about errors and
#: alerts. An address of a channel is one that this server sends to, and holds secrets.
ACTIONS: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *RULES,
            "delete_task",
            "undelete_task",
            "change_error",
            "acknowledge_alert",
            "change_maintenance",
            "mark_release",
            "change_incident",
        ),
        "operator",
    ),
    **dict.fromkeys(("change_alert_rule", "change_alert_channel", "change_forwarding", "change_link"), "admin"),
}


def is_allowed(role: str, needed: str) -> bool:
    """Whether `role` has what is needed; an unknown word on either side is a no."""
    return needed == "public" or role in ALLOWED.get(needed, frozenset())


def may_act(role: str, action: str) -> bool:
    """Whether `role` may ask for `action`."""
    return is_allowed(role, ACTIONS.get(action, ""))


def weaker(role: str, other: str) -> str:
    """Returns the role that permits only what both roles permit: a token's and its owner's."""
    if other in (role, "admin") or (role in (PACKAGES, METRICS) and other in ROLES):
        return role
    if role == "admin":
        return other
    return "viewer" if role in ROLES and other in ROLES else ""
