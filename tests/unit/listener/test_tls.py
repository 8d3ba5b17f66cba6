# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from z4j import clock
from z4j.exceptions import StoreError
from z4j.listener import certificates
from z4j.listener.tls import RENEW_US, ServerTls, days_left, is_ending
from z4j.settings import Settings

DAY_US = clock.DAY_US
AT = 1_800_000_000_000_000


def make_files(folder: Path, name: str = "given", *, days: int = 100, password: str = "", ca: bool = False) -> tuple[str, str]:
    """A key and a certificate made by openssl; with `ca`, signed by another one."""
    key, certificate = str(folder / f"{name}.key"), str(folder / f"{name}.crt")
    locked = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    more: list[str] = []
    if ca:
        signer, signer_key = make_files(folder, f"{name}-ca")
        more = ["-CA", signer, "-CAkey", signer_key]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        *locked,
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*command, "-days", str(days), "-subj", f"/CN={name}", *more], check=True, capture_output=True)
    return certificate, key


def given(folder: Path, files: tuple[str, str]) -> Settings:
    return Settings(data=folder, tls_cert=files[0], tls_key=files[1])


def test_an_own_key_has_pins_and_during_a_rotation_both(tmp_path: Path) -> None:
    tls = ServerTls(Settings(data=tmp_path, tls="auto", tls_name=("queue.internal",), host="192.0.2.7"), AT)
    assert tls.is_own
    assert {"queue.internal", "192.0.2.7", "127.0.0.1"} <= set(tls.certificate.names)
    assert [*tls.pins] == [tls.certificate.pin]
    following = certificates.begin_rotation(tmp_path)
    assert [*tls.pins] == [tls.certificate.pin, following]
    certificates.finish_rotation(tmp_path, tls.names(), AT)
    asyncio.run(tls.check(AT))
    assert [*tls.pins] == [following]


def test_a_wildcard_address_is_no_name(tmp_path: Path) -> None:
    assert "0.0.0.0" not in ServerTls(Settings(data=tmp_path, tls="auto", host="0.0.0.0"), AT).certificate.names


def test_an_own_certificate_is_renewed_while_the_server_runs(tmp_path: Path) -> None:
    tls = ServerTls(Settings(data=tmp_path, tls="auto"), AT)
    first, context = tls.certificate, tls.context
    asyncio.run(tls.check(AT + RENEW_US))
    assert tls.certificate == first
    late = first.expires_at - 20 * DAY_US
    asyncio.run(tls.check(late))
    assert tls.certificate.pin == first.pin
    assert tls.certificate.expires_at > first.expires_at
    assert tls.context is not context


def test_given_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    settings = given(tmp_path, make_files(tmp_path))
    tls = ServerTls(settings, AT)
    before = tls.certificate
    asyncio.run(tls.check(AT))
    assert tls.certificate == before
    for file, made in zip((settings.tls_cert, settings.tls_key), make_files(tmp_path, "other"), strict=True):
        os.replace(made, file)
    asyncio.run(tls.check(AT))
    assert tls.certificate.fingerprint != before.fingerprint


def test_files_that_do_not_belong_together_leave_the_present_ones_in_use(tmp_path: Path) -> None:
    settings = given(tmp_path, make_files(tmp_path))
    tls = ServerTls(settings, AT)
    before, (certificate, key) = tls.certificate, make_files(tmp_path, "other")
    os.replace(certificate, settings.tls_cert)
    with pytest.raises(StoreError, match="cannot be used with the key"):
        asyncio.run(tls.check(AT))
    assert tls.certificate == before
    assert tls.problem
    os.replace(key, settings.tls_key)
    asyncio.run(tls.check(AT))
    assert tls.certificate != before
    assert not tls.problem


def test_a_missing_file_and_a_key_with_a_password_are_refused_with_the_reason(tmp_path: Path) -> None:
    certificate, key = make_files(tmp_path)
    with pytest.raises(StoreError, match="No such file"):
        ServerTls(given(tmp_path, (str(tmp_path / "nowhere.crt"), key)), AT)
    with pytest.raises(StoreError, match="password"):
        ServerTls(given(tmp_path, make_files(tmp_path, "locked", password="hushhush")), AT)
    assert ServerTls(given(tmp_path, (certificate, key)), AT).pins, "self-signed, so it can only be pinned"


def test_a_certificate_of_a_ca_needs_no_pin(tmp_path: Path) -> None:
    tls = ServerTls(given(tmp_path, make_files(tmp_path, ca=True)), AT)
    assert not tls.certificate.is_self_signed
    assert tls.pins == ()


def test_the_end_of_a_certificate_is_warned_of_thirty_days_before(tmp_path: Path) -> None:
    certificate = ServerTls(Settings(data=tmp_path, tls="auto"), AT).certificate
    ends = certificate.expires_at
    assert not is_ending(certificate, ends - 30 * DAY_US)
    assert is_ending(certificate, ends - 30 * DAY_US + 1)
    assert days_left(certificate, ends - 3 * DAY_US) == 3
    assert days_left(certificate, ends + 1) == -1
    assert is_ending(replace(certificate, expires_at=0), 1)
