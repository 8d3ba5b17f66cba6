-- SPDX-License-Identifier: AGPL-3.0-or-later
-- create_abandoned --
-- The table in the schema of a release before it, which a rollback leaves as it is. The same as in migration 28.
CREATE TABLE IF NOT EXISTS audit_abandoned (
  seq INTEGER NOT NULL,
  mark BLOB NOT NULL,
  restored_by INTEGER NOT NULL,
  PRIMARY KEY (seq, mark)
) STRICT, WITHOUT ROWID;

-- add_abandoned --
-- A row that the restore abandoned.
INSERT INTO audit_abandoned (seq, mark, restored_by) VALUES (:seq, :mark, :restored_by) ON CONFLICT DO NOTHING;

-- list_abandoned --
-- All abandoned rows, by the restore.
SELECT restored_by, seq, mark FROM audit_abandoned ORDER BY restored_by, seq, mark;

-- find_restore --
-- The row of the restore that abandoned this row, with its time.
SELECT a.seq, a.at FROM audit_abandoned AS b JOIN audit AS a ON a.seq = b.restored_by WHERE b.seq = :seq AND b.mark = :mark;
