# SPDX-License-Identifier: AGPL-3.0-or-later
"""Templates of links in a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j.exceptions import WrongState
from z4j.rules.tasks.link_templates import MAX_LINKS, LinkTemplate
from z4j.store.annotations import link_templates
from z4j.store.sqlite.db import Connection

URL = "https://tracing.example/{trace_id}"


@pytest.mark.anyio
async def test_links_are_listed_by_name_and_deleted(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        for name in ("trace", "Event"):
            await store.write(lambda db, name=name: link_templates.add_link_template(db, LinkTemplate(0, name, URL), T))  # type: ignore[misc]
        assert await link_templates.list_link_templates(store) == [LinkTemplate(2, "Event", URL), LinkTemplate(1, "trace", URL)]
        assert await store.write(lambda db: link_templates.delete_link_template(db, 1)) == LinkTemplate(1, "trace", URL)
        assert await store.write(lambda db: link_templates.delete_link_template(db, 1)) is None


@pytest.mark.anyio
async def test_names_are_unique_and_there_are_not_many(tmp_path: Path) -> None:
    async with database(tmp_path) as store:

        def fill(db: Connection) -> None:
            for number in range(MAX_LINKS):
                link_templates.add_link_template(db, LinkTemplate(0, str(number), URL), T)

        await store.write(fill)
        with pytest.raises(WrongState, match="already"):
            await store.write(lambda db: link_templates.add_link_template(db, LinkTemplate(0, "1", URL), T))
        with pytest.raises(WrongState, match="20 links"):
            await store.write(lambda db: link_templates.add_link_template(db, LinkTemplate(0, "new", URL), T))
