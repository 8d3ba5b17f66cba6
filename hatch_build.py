# SPDX-License-Identifier: AGPL-3.0-or-later
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Replaced by the asset hook."""
