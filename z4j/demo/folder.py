# SPDX-License-Identifier: AGPL-3.0-or-later
"""The folder of a demo: created, recognised and emptied here, and nowhere else. A folder with anything that is not a demo's is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

from z4j.appliance.data_folder import prepare_data
from z4j.exceptions import WrongState
from z4j.store.sqlite import migrate
from z4j.store.sqlite.demo_mark import is_demo, mark_demo

DEFAULT = Path(".z4j-demo")
DATABASE = "z4j.db"


def check_folder(folder: Path) -> None:
    """Raises WrongState unless the folder is missing, empty, or that of a demo."""
    if not folder.exists():
        return
    inside = {path.name for path in folder.iterdir()} - {"lock"}
    if inside and not is_demo(folder / DATABASE):
        what = "a database that is not marked as a demo" if DATABASE in inside else f"files of something else ({min(inside)[:60]})"
        raise WrongState(
            f"The folder {folder} holds {what}. The demo was not started, and no changes were made.",
            "Choose another folder with --data; an empty or missing one becomes that of the demo.",
        )


def empty_folder(folder: Path) -> None:
    """Deletes the data of the last round, the database last: it marks the folder until nothing else is left. Raises WrongState."""
    check_folder(folder)
    prepare_data(folder)
    for path in sorted(folder.iterdir(), key=lambda path: path.name.startswith(DATABASE)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def create_database(folder: Path) -> None:
    """Creates the marked database. An empty one is marked before anything is written to it."""
    migrate.migrate(folder / DATABASE)
    mark_demo(folder / DATABASE)
