# SPDX-License-Identifier: Apache-2.0
"""Constants of the wire protocol: record kinds, frame types, close codes, and the encoding of records.

Imported by both ends; stdlib only, no I/O. `PROTOCOL.md` describes `kinds` and `codec`, `tests/contract` has test vectors.

Two layers:

* **records** are stored in the spool and sent unchanged inside binary frames. One record is a JSON array framed as
  RFC 7464 (``0x1E`` + JSON + LF), so a torn write never affects the next record.
* **frames** are WebSocket messages: text frames are JSON objects with a ``type``; a binary frame is one *batch*:
  eight bytes (big endian sequence number) followed by records.

Times are integer microseconds UTC. A task record is
``[kind, engine, task_id, attempt, at, run, name, queue, *rest]``; the rest per kind is listed in `TASK_RECORDS`.
"""

from __future__ import annotations

from z4j_agent.wire.codec import digest_of, encode_record, pack_batch, quote, split_records, unpack_batch
from z4j_agent.wire.kinds import (
    AGENT_FRAMES,
    BAD_PROTOCOL,
    BAD_TOKEN,
    CLOSE,
    COMMAND_STATUS,
    DUPLICATE,
    FORBIDDEN,
    MALFORMED,
    MAX_BATCH,
    MAX_FRAME,
    MAX_RECORD,
    META_KEYS,
    NO_HELLO,
    OTHER_RECORDS,
    PROTOCOL,
    RECORD_END,
    RECORD_START,
    SERVER_FRAMES,
    SERVER_ONLY,
    STOPPING,
    TASK_RECORDS,
    TOO_BIG,
    TOO_MANY,
    WINDOW,
)

__all__ = [
    "AGENT_FRAMES", "BAD_PROTOCOL", "BAD_TOKEN", "CLOSE", "COMMAND_STATUS", "DUPLICATE", "FORBIDDEN", "MALFORMED",
    "MAX_BATCH", "MAX_FRAME", "MAX_RECORD", "META_KEYS", "NO_HELLO", "OTHER_RECORDS", "PROTOCOL", "RECORD_END", "RECORD_START",
    "SERVER_FRAMES",
    "SERVER_ONLY", "STOPPING", "TASK_RECORDS", "TOO_BIG", "TOO_MANY", "WINDOW", "digest_of", "encode_record", "pack_batch", "quote",
    "split_records", "unpack_batch",
]  # fmt: skip
