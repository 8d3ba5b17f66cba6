-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Checkpoints of the audit log are numbered without gaps, and each names the one before it (rules/audit_checkpoints.py), so that a
-- missing one shows. Older ones keep their signature, which covers neither: their `previous` is empty.
ALTER TABLE audit_head ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN previous BLOB NOT NULL DEFAULT x'';
UPDATE audit_head SET number = (SELECT count(*) FROM audit_head AS earlier WHERE earlier.seq <= audit_head.seq);
CREATE UNIQUE INDEX audit_head_number ON audit_head (number);
