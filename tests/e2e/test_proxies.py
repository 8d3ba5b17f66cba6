# SPDX-License-Identifier: AGPL-3.0-or-later
"""The examples of docs/deploy, with the proxies that this machine has: pages, agents, and the address of the client."""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.e2e.test_tls import doctor, make_ca
from tests.support.stack import ROOT, Stack, stack, wait_for
from z4j_agent.conformance.harness import free_port, is_open

DEPLOY = ROOT / "docs/deploy"
NAMES = {"/etc/ssl/z4j.example.org.crt": "server.crt", "/etc/ssl/z4j.example.org.key": "server.key"}


def localized(text: str, folder: Path, made: Stack, port: int) -> str:
    """The example with the ports, the certificate and the name of this test; nothing else of it changes."""
    for path, name in NAMES.items():
        text = text.replace(path, str(folder / name))
    text = text.replace("127.0.0.1:7700", f"127.0.0.1:{made.port}").replace("z4j.example.org", "localhost")
    text = re.sub(r"\b443 ssl", f"127.0.0.1:{port} ssl", text).replace('":443"', f'"127.0.0.1:{port}"')
    return text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};").replace('":80"', f'"127.0.0.1:{free_port()}"')


def nginx(folder: Path, made: Stack, port: int) -> list[str | Path]:
    file = folder / "nginx.conf"
    file.write_text(localized((DEPLOY / "nginx.conf").read_text(), folder, made, port))
    return ["nginx", "-p", folder, "-c", file, "-g", f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"]


def caddy(folder: Path, made: Stack, port: int) -> list[str | Path]:
    text = localized((DEPLOY / "Caddyfile").read_text(), folder, made, port)
    tls = f"\ttls {folder / 'server.crt'} {folder / 'server.key'}\n"
    file = folder / "Caddyfile"
    file.write_text(
        "{\n\tauto_https disable_redirects\n\tadmin off\n}\n" + text.replace("localhost {\n", f"https://localhost:{port} {{\n{tls}")
    )
    return ["caddy", "run", "--config", file]


def traefik(folder: Path, made: Stack, port: int) -> list[str | Path]:
    for name in ("traefik.yml", "traefik-routes.yml"):
        text = localized((DEPLOY / name).read_text(), folder, made, port)
        (folder / name).write_text(text.replace("filename: traefik-routes.yml", f"filename: {folder / 'traefik-routes.yml'}"))
    return ["traefik", f"--configFile={folder / 'traefik.yml'}"]


@pytest.mark.parametrize("make", [nginx, caddy, traefik], ids=lambda make: make.__name__)
def test_pages_and_agents_through_the_proxy(tmp_path: Path, make: Callable[[Path, Stack, int], list[str | Path]]) -> None:
    if shutil.which(make.__name__) is None:
        pytest.skip(f"{make.__name__} is not installed")
    make_ca(tmp_path)
    port = free_port()
    with stack(tmp_path) as made:
        made.tls = ("Z4J_BEHIND_PROXY=1",)
        made.command("migrate")
        made.start_server()
        proxy = made.start("proxy", make(tmp_path, made, port))
        wait_for(lambda: is_open(port), what=f"the proxy answers, see {proxy.log}")
        trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        with httpx2.Client(base_url=f"https://localhost:{port}", verify=trusted, timeout=60) as client:
            page = client.get("/login", headers={"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "http"})
            assert page.status_code == 200
            made.command("user", "add", "ada", "--role", "admin", "--password-stdin", stdin="correct horse battery 9\n")
            answer = client.post(
                "/login", data={"name": "ada", "password": "correct horse battery 9"}, follow_redirects=False,
                headers={"Origin": f"https://localhost:{port}", "X-Forwarded-For": "198.51.100.1"},
            )  # fmt: skip
            assert answer.status_code == 303
            assert "Secure" in answer.headers["set-cookie"]
            shown = client.post("/connect", data={"app": "shop"}, headers={"Origin": f"https://localhost:{port}"}).text
        found = re.search(r"z4j://[\w.-]+@localhost:\d+", shown)
        assert found is not None, "the page was reached with https, so agents use TLS"
        assert "accepted the token" in doctor(made, found[0], Z4J_CA=str(tmp_path / "ca.crt"))
        rows = made.rows("SELECT DISTINCT address FROM audit WHERE actor = 'ada'")
        assert rows in ([("127.0.0.1",)], [("::1",)]), "what the client wrote into the header is ignored"
