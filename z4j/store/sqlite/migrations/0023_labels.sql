-- SPDX-License-Identifier: AGPL-3.0-or-later
-- What the application calls a task beside its registered name (Celery: shadow). It is part of `sent`; the column is for filtering.
ALTER TABLE task ADD COLUMN label TEXT;
CREATE INDEX task_label ON task (label, first_at) WHERE label IS NOT NULL;
