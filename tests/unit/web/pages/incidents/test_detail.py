# SPDX-License-Identifier: AGPL-3.0-or-later
"""One incident: notes, a name, a link for a week; what a viewer may not."""

from __future__ import annotations

import re

from tests.support.site import text_of
from tests.unit.web.pages.conftest import EVIL, Shop


def begun(shop: Shop) -> str:
    path: str = shop.post("/incidents", title=f"Mails {EVIL}", app="shop", **{"from": "2h"}).headers["location"]
    shop.post(f"{path}/note", text=f"token=ghp_{'a' * 36} {EVIL}")
    return path


def test_it_is_ended_renamed_shared_and_deleted(shop: Shop) -> None:
    path = begun(shop)
    shop.post(f"{path}/rename", title="Relay down")
    assert "Relay down" in text_of(shop.get(path))
    location = shop.post(f"{path}/share").headers["location"]
    link = re.search(r"/incidents/shared/[\w.-]+", shop.get(location).text)
    assert link is not None
    shop.post(f"{path}/end")
    assert "ended" in text_of(shop.get(path))
    assert "Add note" not in text_of(shop.get(path))
    shop.forget()
    assert "Relay down" in text_of(shop.get(link[0]))
    assert shop.get(link[0] + "x").status_code == 403
    assert shop.get(path).status_code == 303, "nothing else is shown without signing in"
    shop.sign_in()
    shop.post(f"{path}/delete")
    assert shop.get(path).status_code == 404
    assert shop.get(link[0]).status_code == 404


def test_a_viewer_reads_and_changes_nothing(shop: Shop) -> None:
    path = begun(shop)
    shop.become("vera")
    text = text_of(shop.get(path))
    assert "What happened" in text
    assert "Add note" not in text
    for action in ("note", "rename", "end", "share", "delete"):
        assert shop.post(f"{path}/{action}", text="x", title="x").status_code == 403, action
