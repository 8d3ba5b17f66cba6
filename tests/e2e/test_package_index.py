# SPDX-License-Identifier: AGPL-3.0-or-later
"""The appliance's own package index: pip and uv with this index alone, over TLS with its own certificate."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import bundled_wheels
from tests.support.stack import ROOT, SERVER_PYTHON, Stack, stack

pytestmark = pytest.mark.timeout(300)
UV = ROOT / ".venvs/uv/bin/uv"
PIP = (str(ROOT / ".venvs/uv/bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    bundled_wheels.bundle()
    with stack(tmp_path_factory.mktemp("appliance")) as made:
        made.tls = ("Z4J_TLS=auto",)
        made.command("migrate")
        made.start_server()
        yield made


@pytest.fixture(scope="module")
def token(appliance: Stack) -> str:
    return appliance.command("token", "create", "--packages").strip()


def client(appliance: Stack, token: str) -> httpx2.Client:
    context = ssl.create_default_context(cafile=str(appliance.data / "tls/server.pem"))
    return httpx2.Client(
        base_url=appliance.address, verify=context, auth=("z4j", token) if token else None, follow_redirects=False, timeout=60
    )


def installer(appliance: Stack, token: str, folder: Path) -> dict[str, str]:
    """The environment of an installer without any other index: the certificate of the appliance, and a netrc file."""
    (folder / "z4j.pem").write_bytes((appliance.data / "tls/server.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[2])
    (folder / "z4j.pem").write_bytes(b"-----BEGIN CERTIFICATE" + (folder / "z4j.pem").read_bytes())
    netrc = folder / "z4j.netrc"
    netrc.write_text(f"machine 127.0.0.1 login z4j password {token}\n")
    netrc.chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV"))}
    certificate = str(folder / "z4j.pem")
    return {
        **kept,
        "NETRC": str(netrc),
        "PIP_CERT": certificate,
        "SSL_CERT_FILE": certificate,
        "REQUESTS_CA_BUNDLE": certificate,
        "PIP_CONFIG_FILE": os.devnull,
        "HOME": str(folder),
    }


def run(env: dict[str, str], *words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


def test_the_index_is_what_the_standards_say(appliance: Stack, token: str) -> None:
    with client(appliance, token) as reader:
        names = {project["name"] for project in reader.get("/simple/", headers={"Accept": JSON}).json()["projects"]}
        assert {"z4j-agent", "z4j-celery", "z4j-fastapi", "websockets", "cryptography", "cffi", "pycparser"} <= names
        assert {"z4j-client", "httpx", "httpcore", "h11", "anyio", "certifi", "idna", "typing-extensions"} <= names
        assert "z4j" not in names, "the server itself is not handed out to applications"
        assert '<a href="/simple/z4j-celery/">' in reader.get("/simple/").text
        moved = reader.get("/simple/Z4J_Celery/")
        assert (moved.status_code, moved.headers["location"]) == (301, "/simple/z4j-celery/")
        [file] = reader.get("/simple/z4j-celery/", headers={"Accept": JSON}).json()["files"]
        assert reader.get(file["url"]).status_code == 200
        assert "Name: z4j-celery" in reader.get(f"{file['url']}.metadata").text
        assert file["hashes"]["sha256"] in reader.get("/simple/z4j-celery/").text
        for path in (
            "/simple/django/",
            "/simple/cffi/nothing.whl",
            "/simple/cffi/..%2f..%2fz4j.db",
            "/simple/cffi/z4j_celery-0.1.0%2Bz4j-py3-none-any.whl",
        ):
            assert reader.get(path).status_code == 404, path


def test_an_index_token_reads_packages_and_nothing_else(appliance: Stack, token: str) -> None:
    with client(appliance, "") as stranger:
        refused = stranger.get("/simple/")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="z4j packages"')
        assert stranger.get("/simple/z4j-celery/", headers={"Accept": "text/html"}).status_code == 303, "a person is led to the sign-in"
        for path in ("/tasks.json", "/api/v1/tasks", "/settings/tokens", "/healthz", "/simple/"):
            answer = stranger.get(path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code == 200) is (path in ("/healthz", "/simple/")), path
        for path in ("/tasks.json", "/settings/tokens"):
            assert stranger.get(path, auth=("z4j", token)).status_code in (303, 401, 403), path
    with client(appliance, "z4p_wrong") as stranger:
        assert stranger.get("/simple/").status_code == 401
    row = next(line for line in appliance.command("token", "list").splitlines() if "packages" in line)
    appliance.command("token", "revoke", row.split()[0])
    with client(appliance, token) as reader:
        assert reader.get("/simple/").status_code == 401


@pytest.mark.parametrize("program", ["pip", "uv"])
def test_an_adapter_is_installed_from_this_index_alone(appliance: Stack, tmp_path: Path, program: str) -> None:
    """All of it: `pip download` for a transfer by hand, too. No option makes an installer trust anything else."""
    env = installer(appliance, appliance.command("token", "create", "--packages").strip(), tmp_path)
    index = ("--index-url", f"{appliance.address}/simple/")
    python = tmp_path / "site/bin/python"
    run(env, sys.executable, "-m", "venv", "--without-pip", tmp_path / "site")
    if program == "pip":
        run(env, *PIP, "--python", python, "install", *index, "z4j-celery", "z4j-client")
        run(env, python, "-c", "import z4j_client; z4j_client.Client('http://127.0.0.1:1', token='x').close()")
        run(env, *PIP, "download", *index, "--dest", tmp_path / "files", "z4j-rq")
        assert {path.name.partition("-")[0] for path in (tmp_path / "files").glob("*.whl")} >= {"z4j_rq", "z4j_agent", "websockets", "cffi"}
    else:
        run(env, UV, "pip", "install", "--no-cache", "--python", python, *index, "z4j-celery")
    listed = json.loads(run(env, *PIP, "--python", python, "list", "--format", "json"))
    assert {each["name"].replace("_", "-") for each in listed} >= {
        "z4j-celery",
        "z4j-agent",
        "websockets",
        "cryptography",
        "cffi",
        "pycparser",
    }
    run(env, python, "-c", "import z4j_celery, websockets, cryptography.hazmat.primitives.ciphers.aead")


def test_another_certificate_is_not_trusted(appliance: Stack, tmp_path: Path) -> None:
    env = installer(appliance, "z4p_x", tmp_path)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.devnull, "-out",
         env["PIP_CERT"], "-days", "3", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True,
    )  # fmt: skip
    command = [*PIP, "download", "--index-url", f"{appliance.address}/simple/", "--dest", str(tmp_path), "--retries", "0", "z4j-rq"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout + done.stderr


def test_wheels_are_written_to_a_folder_and_added(appliance: Stack, tmp_path: Path) -> None:
    said = appliance.command("wheels", str(tmp_path / "out"))
    assert "wheels were written" in said
    source = next((tmp_path / "out").glob("pycparser*.whl"))
    refused = appliance.run(SERVER_PYTHON, "z4j", "wheels", "--add", str(source))
    assert refused.returncode == 2
    assert "is served already" in refused.stderr
    assert "z4j-celery" in appliance.command("wheels")
