# SPDX-License-Identifier: AGPL-3.0-or-later
"""A rotation from the command line, while a server runs that was started with names this command is not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from z4j import clock
from z4j.appliance import server_address
from z4j.appliance.data_folder import data_lock
from z4j.cli import main
from z4j.listener import certificates
from z4j.listener.tls import ServerTls
from z4j.settings import Settings


def _pins(capsys: pytest.CaptureFixture[str], data: Path, app: str) -> list[str]:
    assert main(["token", "create", "--app", app, "--data", str(data)]) == 0
    return capsys.readouterr().out.splitlines()[0].rstrip("'").partition("?pin=")[2].split(",")


def test_connection_strings_have_the_pins_of_now_and_the_names_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    settings = Settings(data=data, tls="auto", host="0.0.0.0", tls_name=("queue.internal",))
    tls = ServerTls(settings, clock.now())
    recorded = server_address.Tls(str(tls.certificate_file.resolve()), tls.pins, "queue.internal")
    server_address.write_address(data, settings.host, settings.port, behind_proxy=False, tls=recorded)
    present = tls.certificate.pin
    assert main(["migrate", "--data", str(data)]) == 0
    with data_lock(data):
        assert main(["tls", "rotate", "--data", str(data)]) == 0
        following = certificates.next_pin(data)
        capsys.readouterr()
        assert _pins(capsys, data, "one") == [present, following]
        assert main(["tls", "switch", "--data", str(data)]) == 0
        capsys.readouterr()
        assert _pins(capsys, data, "two") == [following]
    assert "queue.internal" in certificates.read(certificates.server_file(data)).names
