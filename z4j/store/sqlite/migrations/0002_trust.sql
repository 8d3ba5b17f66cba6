-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Signed heads of the audit log: the digest over every row up to `seq` (rules/audit.py: add_to_digest), never changed or deleted.
CREATE TABLE audit_head (
  seq INTEGER PRIMARY KEY,                  -- audit.seq of the last row it covers
  at INTEGER NOT NULL,
  digest BLOB NOT NULL,
  key_id TEXT NOT NULL,                     -- of the Ed25519 key
  signature BLOB NOT NULL
) STRICT;

-- The second step of signing in (RFC 6238). The secret is sealed with a key that lies beside the database, not in it.
CREATE TABLE totp (
  user_id INTEGER PRIMARY KEY REFERENCES user (id) ON DELETE CASCADE,
  secret BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  confirmed_at INTEGER,                     -- NULL until the first code was right; only then it is asked for
  last_step INTEGER NOT NULL DEFAULT 0      -- of the last code that was used: no code counts twice
) STRICT;

CREATE TABLE recovery_code (
  user_id INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  code_hash BLOB NOT NULL,                  -- SHA-256; the codes are random
  used_at INTEGER,
  PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;
