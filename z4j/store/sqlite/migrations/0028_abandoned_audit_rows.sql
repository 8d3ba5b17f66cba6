-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Rows of the audit log that a restored backup abandoned, by their MAC and by the digest up to them (rules/audit/restores.py). `restored_by`
-- is the row that names all of its own. A rollback creates the table in the schema of an earlier release, so it may exist already.
CREATE TABLE IF NOT EXISTS audit_abandoned (
  seq INTEGER NOT NULL,
  mark BLOB NOT NULL,
  restored_by INTEGER NOT NULL,
  PRIMARY KEY (seq, mark)
) STRICT, WITHOUT ROWID;
