# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lines as text; that a shell accepts them and that they connect an application is tests/e2e/test_connect.py."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from z4j.web.pages.settings import setup_snippets
from z4j.web.pages.settings.setup_snippets import ENGINES, FRAMEWORKS, Target

TARGET = Target(
    app="Shop & Söhne", engine="celery", framework="none", environment="production", url="z4j://z4a_t.k@queue.internal:7700?pin=p",
    base="https://queue.internal:7700", token="z4p_secret", fingerprint="AB:CD",
)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_pair_has_its_packages_and_its_code(engine: str, framework: str) -> None:
    target = replace(TARGET, engine=engine, framework=framework)
    names = setup_snippets.packages(target)
    assert names[0] == f"z4j-{engine}"
    assert (f"z4j-{framework}" in names) is (framework != "none")
    code = setup_snippets.code(target)
    compile(code.replace("# …", "...,"), "code", "exec")
    assert (f"z4j_{engine}" in code) is ((framework, engine) != ("django", "celery"))


def test_the_certificate_is_checked_and_nothing_is_trusted_blindly() -> None:
    lines = setup_snippets.install(TARGET)
    assert " queue.internal 7700 abcd" in lines
    assert "PIP_CERT" in lines
    assert "SSL_CERT_FILE" in lines
    assert "export" not in lines
    without = setup_snippets.install(replace(TARGET, fingerprint=""))
    assert "PIP_CERT" not in without
    for text in (lines, without, *(block.text for block in setup_snippets.variants(TARGET))):
        assert "--trusted-host" not in text
        assert "--extra-index-url" not in text


def test_no_secret_is_in_an_image_layer_or_on_a_command_line_of_pip() -> None:
    for block in setup_snippets.variants(TARGET):
        if block.title == "Dockerfile":
            assert "z4a_" not in block.text
            assert "z4p_" not in block.text
    [pip] = [line for line in setup_snippets.install(TARGET).splitlines() if "pip install" in line]
    assert "z4p_" not in pip


def test_the_environment_is_named_where_it_is_not_the_default() -> None:
    assert "Z4J_ENVIRONMENT" not in setup_snippets.variables(TARGET)
    assert setup_snippets.variables(replace(TARGET, environment="pre prod"), "export ").endswith("export Z4J_ENVIRONMENT='pre prod'")


def test_a_shell_accepts_all_lines() -> None:
    for block in (*setup_snippets.three_lines(TARGET)[:2], *setup_snippets.variants(TARGET)):
        if block.title != "Dockerfile":
            subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("host", ["queue.internal:7700", "192.0.2.7", "[2001:db8::5]:7700"])
def test_hosts(host: str) -> None:
    assert setup_snippets.is_host(host)


@pytest.mark.parametrize("host", ["", "a b", "a;b", "$(id)", "a'b", "a/b", "a:b", "a\nb", "user@a"])
def test_a_host_header_cannot_become_a_command(host: str) -> None:
    assert not setup_snippets.is_host(host)
