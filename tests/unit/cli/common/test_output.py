# SPDX-License-Identifier: AGPL-3.0-or-later
"""Texts of others reach neither the terminal nor the log as controls; addresses are those of the server, ports say who holds them."""

from __future__ import annotations

import argparse
import ast
import json
import logging
import os
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from z4j import cli, logs
from z4j.appliance import server_address
from z4j.appliance.data_folder import data_lock, prepare_data
from z4j.appliance.server_address import address_of
from z4j.cli.common.output import json_text, print_table, say
from z4j.exceptions import StoreError
from z4j.listener import ports
from z4j.settings import Settings
from z4j.text import UNSAFE, clean

EVIL = "a\x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202egnp.exe\u2066\x00\x7f\ud800"
CLI = Path(cli.__file__).parent


def test_no_control_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [(EVIL,), ("plain ä 漢 🙂",)])
    say(f"said {EVIL}")
    said = capsys.readouterr().out
    assert UNSAFE.sub("", said.replace("\n", "")) == said.replace("\n", "")
    assert said.count("\n") == 5, "a cell is one line; of a sentence, line ends stay"
    assert "\\x1b[2J" in said
    assert "plain ä 漢 🙂" in said


def test_json_means_the_same_and_holds_no_control() -> None:
    found = {"name": EVIL, "tag\U000e0041": ["ä", 1]}
    text = json_text(found)
    assert json.loads(text) == found
    assert not UNSAFE.search(text.replace("\n", ""))


def test_no_command_prints_by_itself() -> None:
    for path in CLI.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        bare = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
        assert bare == [] or path.name == "output.py", f"{path.name}: use say() in line {bare}"


@pytest.mark.parametrize("formatter", [logs.KeyValue(), logs.Json()])
def test_no_control_reaches_the_log(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        record = logging.LogRecord("z4j.access", logging.INFO, "", 0, "said %s", (EVIL,), (type(error), error, error.__traceback__))
    record.facts = {"path": f"/tasks/{EVIL}", "who": EVIL}
    text = formatter.format(record)
    assert not UNSAFE.search(text.replace("\n", ""))
    assert "\r" not in text
    line = text.split("\n")[0]
    assert "owned" in line


def test_control_characters_become_visible() -> None:
    assert clean("a\x1b[31m\n\u202eb\x9b\u2028") == "a\\x1b[31m\\n\\u202eb\\x9b\\u2028"
    assert clean("Zoë 任务 é") == "Zoë 任务 é"


def test_everything_that_ends_a_line_hides_text_or_turns_its_direction_is_visible() -> None:
    controls = {code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Cc", "Zl", "Zp")}
    direction = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    without_width = {0xAD, 0x200B, 0x200C, 0x200D, *range(0x2060, 0x2066), *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC)}
    no_text = {*range(0xD800, 0xE000), *range(0xE0000, 0xE0080)}
    found = {code for code in range(sys.maxunicode + 1) if UNSAFE.fullmatch(chr(code))}
    assert found == controls | direction | without_width | no_text


def test_clean_leaves_what_people_write() -> None:
    for text in ("", "shop.ship", "Ægir – naïve “quotes”", "العربية", "हिन्दी", "日本語", "a b\u00a0c"):
        assert clean(text) == text


# -- addresses -----------------------------------------------------------------------------------------------------------------
def words(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"host": None, "port": None} | given))


def test_the_address_is_that_of_the_server_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("Z4J_PORT", raising=False)
    settings = Settings(data=tmp_path)
    default = address_of(words(), settings)
    assert default.netloc == "127.0.0.1:7700"
    assert "is the default" in default.notes[0]
    prepare_data(tmp_path)
    with data_lock(tmp_path):
        server_address.write_address(tmp_path, "127.0.0.1", 7811, behind_proxy=False)
        assert address_of(words(), settings) == server_address.Address("http://127.0.0.1:7811", "127.0.0.1:7811")
        assert address_of(words(port=7700), settings).notes == (
            f"The server of {tmp_path} listens on 127.0.0.1:7811, not on 127.0.0.1:7700.",
        )
        server_address.write_address(tmp_path, "127.0.0.1", 7811, behind_proxy=True)
        assert "behind a proxy" in address_of(words(), settings).notes[0]
        with (
            pytest.raises(
                StoreError, match=f"Process {os.getpid()} .* is already running on the data folder .* at http://127.0.0.1:7811"
            ) as refused,
            data_lock(tmp_path),
        ):
            pass
        assert f"kill {os.getpid()}" in refused.value.hint
    # Killed: the file is still there, but nobody holds the folder.
    assert "No server is running on" in address_of(words(), settings).notes[0]
    server_address.remove_address(tmp_path)
    assert server_address.read_address(tmp_path) is None


def test_a_token_names_the_server_that_serves_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("Z4J_PORT", raising=False)
    prepare_data(tmp_path)
    with data_lock(tmp_path):
        server_address.write_address(tmp_path, "127.0.0.1", 7811, behind_proxy=False)
        assert cli.main(["token", "create", "--app", "shop", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "@127.0.0.1:7811'" in said
    assert "7700" not in said


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ports.PortTaken, match=f"Port {port} of 127.0.0.1 is in use by process {os.getpid()} \\(.*was not started"
        ) as error:
            ports.bind("127.0.0.1", port)
        assert "--port" in error.value.hint
    with ports.bind("127.0.0.1", 0) as made:
        assert made.getsockname()[1] > 0


def test_what_a_command_line_may_hold_of_secrets_is_not_shown() -> None:
    import subprocess
    import sys

    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "serve", "--token", "s3cret"])
    try:
        assert "s3cret" not in ports.command_of(process.pid)
        assert "sleep" not in ports.command_of(process.pid)
    finally:
        process.kill()
        process.wait()
