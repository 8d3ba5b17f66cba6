# SPDX-License-Identifier: Apache-2.0
"""A broker is known by what leads there, never by a credential; two hosts' own brokers are two."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j_agent.capture.broker import find_broker, identify, identify_url
from z4j_agent.contract.adapter import Refused


@pytest.mark.parametrize(("url", "identity"), [
    ("redis://cache:6379/0", "redis://cache:6379/0"),
    ("redis://cache", "redis://cache:6379/0"),
    ("rediss://user:secret@Cache.Internal:6380/2", "redis://cache.internal:6380/2"),
    ("redis://:secret@127.0.0.1:6379/1", "redis://localhost:6379/1@web-1"),
    ("redis://localhost/1", "redis://localhost:6379/1@web-1"),
    ("redis://[::1]:6379/1", "redis://localhost:6379/1@web-1"),
    ("unix:///run/redis.sock", "redis:///run/redis.sock/@web-1"),
    ("unix:///run/Shop/Redis.sock", "redis:///run/Shop/Redis.sock/@web-1"),
    ("redis://Cache.Internal/0", "redis://cache.internal:6379/0"),
    ("amqp://guest:guest@mq//", "amqp://mq:5672/"),
    ("amqp://guest:guest@mq", "amqp://mq:5672/"),
    ("pyamqp://guest@mq/shop", "amqp://mq:5672/shop"),
    ("amqp://a:b@mq2/shop;amqp://a:b@mq1/shop", "amqp://mq1:5672/shop;amqp://mq2:5672/shop"),
    ("sqs://", "sqs://localhost:0/@web-1"),
    ("", ""), ("redis://cache:no-port", ""), ("no url", ""),
])  # fmt: skip
def test_identities(url: str, identity: str) -> None:
    assert identify_url(url, this_host="web-1") == identity


@given(st.text(min_size=8, alphabet=st.characters(whitelist_categories=("Lu", "Ll", "Nd"))))
@settings(deadline=None)
def test_no_credential_is_part_of_it(secret: str) -> None:
    for url in (f"redis://:{secret}@cache/0", f"amqp://{secret}:x@mq/v", f"redis://u:{secret}@a/0;redis://u:{secret}@b/0"):
        assert secret.lower() not in identify_url(url, this_host="h").lower()


def test_a_prefix_of_the_keys_is_part_of_it() -> None:
    assert identify("redis", "cache", 6379, "0", "shop", this_host="h") == "redis://cache:6379/0#shop"
    assert identify("redis", "127.0.0.1", None, "0", "shop", this_host="h") == "redis://localhost:6379/0#shop@h"
    assert len(identify("redis", "x" * 500, this_host="h")) == 255


def test_an_original_goes_to_its_own_broker_or_nowhere() -> None:
    known = {"redis://a:6379/0": "run-1", "redis://b:6379/0": ""}
    assert find_broker("", "", known) == ""
    assert find_broker("redis://b:6379/0", "", known) == "redis://b:6379/0"
    assert find_broker("redis://alias:6379/0", "run-1", known) == "redis://a:6379/0", "one server under two addresses"
    assert find_broker("redis://anywhere/0", "", {}) == "", "this engine cannot tell its brokers"
    for server in ("", "run-2"):
        with pytest.raises(Refused, match="Z4J_BROKER") as refused:
            find_broker("redis://c:6379/0", server, known)
        assert refused.value.check == "broker.unknown"
