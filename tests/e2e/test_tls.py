# SPDX-License-Identifier: AGPL-3.0-or-later
"""`z4j serve --tls auto` with real workers: the pin, a wrong pin, a CA, and a change of the key under load."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.support.stack import CELERY_PYTHON, SERVER_PYTHON, Stack, stack, wait_for
from tests.support.witness import disagreements, expected_states

pytestmark = pytest.mark.timeout(300)
AUTO = ("Z4J_TLS=auto", "Z4J_HOST=0.0.0.0", "Z4J_TLS_NAME=queue.internal")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Stack]:
    with stack(tmp_path) as made:
        made.tls = AUTO
        made.start_broker()
        made.command("migrate")
        made.start_server()
        made.add_app()
        yield made


def trusted(shop: Stack) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(shop.data / "tls/server.pem")
    return context


def doctor(shop: Stack, url: str, **env: str) -> str:
    done = shop.run(CELERY_PYTHON, "z4j_agent", "doctor", "--json", env={"Z4J_URL": url, **env})
    return done.stdout + done.stderr


def test_a_worker_connects_by_pin_and_actions_work_over_it(shop: Stack) -> None:
    assert shop.url.startswith("z4j://z4a_")
    assert "?pin=" in shop.url
    shop.start_worker()
    sent = shop.produce("shop.ship", 5, "[1]")
    wait_for(lambda: set(sent) <= set(shop.states()), what="the tasks are there")
    wait_for(lambda: not disagreements(shop), what="and ended")
    token = shop.command("token", "create", "--api", "operator", "--role", "operator").strip()
    words = ("task", "retry", sent[0], "--json")
    done = shop.run(SERVER_PYTHON, "z4j", *words, env={"Z4J_API_TOKEN": token})
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["status"] == "done"


def test_pages_cookies_and_headers_over_tls(shop: Stack) -> None:
    with httpx2.Client(base_url=shop.address, verify=trusted(shop), timeout=60) as client:
        answer = client.get("/login")
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers, "nobody could get past a warning for a self-signed certificate then"
        link = shop.command("user", "add", "ada", "--role", "admin", "--password-stdin", stdin="correct horse battery 9\n")
        assert "ada" in link
        signed = client.post(
            "/login", data={"name": "ada", "password": "correct horse battery 9"}, headers={"Origin": shop.address}, follow_redirects=False
        )
        assert "Secure" in signed.headers["set-cookie"]
        assert client.get("/settings/appliance").status_code == 200
        assert "queue.internal" in client.get("/settings/appliance").text
    plain = httpx2.get(shop.address.replace("https", "http") + "/tasks", follow_redirects=False, timeout=60)
    assert (plain.status_code, plain.headers["location"]) == (308, f"{shop.address}/tasks")
    said = shop.command("doctor")
    assert "The certificate is valid for" in said
    assert f"The server responds at {shop.address}" in said


def test_a_wrong_pin_is_refused_before_the_token_is_sent(shop: Stack) -> None:
    wrong = f"{shop.url.partition('?')[0]}?pin={'A' * 43}"
    said = doctor(shop, wrong)
    assert "is not the one in the connection string. The token was not sent" in said
    assert "does not trust the certificate" in doctor(shop, shop.url.partition("?")[0]), "without a pin, CAs decide"
    log = shop.children[1].log.read_text()
    assert "agent connected" not in log
    assert "agent refused" not in log
    assert "path=/agent" not in log
    assert shop.rows("SELECT count(*) FROM token WHERE used_at IS NOT NULL") == [(0,)]
    assert "accepted the token" in doctor(shop, f"{shop.url.partition('?')[0]}?pin={'A' * 43},{shop.url.partition('pin=')[2]}")


def test_a_private_ca_is_trusted_through_its_file(tmp_path: Path) -> None:
    make_ca(tmp_path)
    with stack(tmp_path) as made:
        made.tls = (f"Z4J_TLS_CERT={tmp_path / 'server.crt'}", f"Z4J_TLS_KEY={tmp_path / 'server.key'}")
        made.command("migrate")
        made.start_server()
        url = made.add_app()
        assert "?pin=" not in url
        assert "does not trust the certificate" in doctor(made, url)
        assert "accepted the token" in doctor(made, url, Z4J_CA=str(tmp_path / "ca.crt"))
        assert "cannot be read" in doctor(made, url, Z4J_CA=str(tmp_path / "nowhere.crt"))
        with httpx2.Client(verify=ssl.create_default_context(cafile=str(tmp_path / "ca.crt")), timeout=60) as client:
            assert client.get(f"{made.address}/login").headers["strict-transport-security"] == "max-age=31536000"
        assert "responds at" in made.command("doctor")


def make_ca(folder: Path) -> None:
    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=Test CA")
    openssl(
        "req", "-x509", *curve, "-keyout", "server.key", "-out", "server.crt", "-days", "30", "-subj", "/CN=server", "-CA", "ca.crt",
        "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
    )  # fmt: skip


@dataclass
class Producer:
    """Enqueues until it is stopped."""

    shop: Stack
    sent: list[str] = field(default_factory=list)
    is_stopping: bool = False

    def run(self) -> None:
        while not self.is_stopping:
            self.sent += self.shop.produce("shop.ship", 20, "[1]")


def test_the_key_changes_under_load_and_nobody_is_cut_off(shop: Stack) -> None:
    old, producer = shop.url, Producer(shop)
    worker = shop.start_worker()
    thread = threading.Thread(target=producer.run)
    thread.start()
    try:
        said = shop.command("tls", "rotate")
        both = next(line.strip() for line in said.splitlines() if line.strip().startswith("pin="))
        assert "worker@test" in said
        refused = shop.run(SERVER_PYTHON, "z4j", "tls", "switch")
        assert refused.returncode != 0
        assert "not configured with the pin" in refused.stderr
        producer.is_stopping = True
        thread.join()
        worker.end()

        shop.url = f"{old.partition('?')[0]}?{both}"
        worker = shop.start_worker()
        producer.is_stopping = False
        thread = threading.Thread(target=producer.run)
        thread.start()
        wait_for(lambda: "worker@test" not in shop.command("tls", "rotate"), what="the worker reports both pins")
        before = shop.command("tls", "show")
        switched = shop.command("tls", "switch", "--force")  # the producers of before have ended, and might come back
        assert "worker@test" not in switched
        assert before.split("pin of the next key")[1].split()[0] in switched
        wait_for(lambda: "serving another certificate" in shop.children[1].log.read_text(), what="the server takes the new key")
        time.sleep(1)
    finally:
        producer.is_stopping = True
        thread.join()
    sent = producer.sent
    wait_for(lambda: set(sent) <= set(expected_states(shop)), seconds=60, what="every task ran")
    wait_for(lambda: not disagreements(shop), seconds=60, what=f"the store agrees with {len(sent)} witnesses")

    worker.end()  # recreated: an empty disk, and the string that it was configured with
    shutil.rmtree(shop.folder / "spool")
    shop.start_worker(name="again")
    last = shop.produce("shop.ship", 5, "[1]")
    wait_for(lambda: set(last) <= set(shop.states()), what="reported with the new key")
    wait_for(lambda: not disagreements(shop), what="nothing is missing")
    log = shop.children[1].log.read_text()
    assert "agent refused" not in log
    assert "handshake failed" not in log
    assert "The token was not sent" in doctor(shop, old), "the old string is cut off"
    assert os.stat(shop.data / "tls/server.pem").st_mode & 0o777 == 0o600
