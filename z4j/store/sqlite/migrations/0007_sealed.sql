-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Values that operators typed. The columns that were there hold them redacted; `sealed` holds them whole, encrypted with values.key,
-- where something was masked. Rows written before are rewritten when the server starts (store/typed.py).
ALTER TABLE command ADD COLUMN sealed TEXT NOT NULL DEFAULT '';
ALTER TABLE schedule ADD COLUMN sealed TEXT NOT NULL DEFAULT '';
ALTER TABLE override ADD COLUMN sealed TEXT NOT NULL DEFAULT '';
