# SPDX-License-Identifier: AGPL-3.0-or-later
"""A person at the keyboard without a browser: signs in, reads pages and presses buttons over plain HTTP."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import httpx2 as httpx

from tests.support.stack import Stack

PASSWORD = "a long enough passphrase"


@dataclass(frozen=True, slots=True)
class Person:
    client: httpx.Client
    stack: Stack

    @classmethod
    def sign_in(cls, stack: Stack, name: str = "ada", role: str = "admin") -> Person:
        """Adds a user, who signs in."""
        stack.command("user", "add", name, "--role", role, "--password-stdin", stdin=PASSWORD + "\n")
        return cls.sign_in_as(stack, stack.address, name)

    @classmethod
    def sign_in_as(cls, stack: Stack, address: str, name: str = "ada") -> Person:
        """A user that exists signs in at an address of the server."""
        # Without TLS no authority is needed: reading them all takes 40 ms of a processor.
        trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=stack.data / "tls/server.pem") if stack.tls else False
        client = httpx.Client(base_url=address, headers={"Origin": address}, follow_redirects=True, verify=trust, timeout=60)
        stack.at_end.append(client.close)
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        assert "/login" not in str(answer.url), answer.text
        return cls(client, stack)

    def get(self, path: str) -> httpx.Response:
        answer = self.client.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def post(self, path: str, form: dict[str, str]) -> httpx.Response:
        answer = self.client.post(path, data=form)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer

    def row_id(self, task_id: str) -> int:
        from uuid import UUID

        [(row,)] = self.stack.rows("SELECT id FROM task WHERE task_id = ?", UUID(task_id).bytes)
        return int(row)

    def get_task(self, task_id: str) -> httpx.Response:
        return self.get(f"/tasks/{self.row_id(task_id)}")

    def act(self, task_id: str, action: str) -> httpx.Response:
        answer = self.client.post(f"/tasks/{self.row_id(task_id)}/{action}", data={"reason": "test"})
        assert answer.status_code == 200, answer.text
        return answer
