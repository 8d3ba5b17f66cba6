-- SPDX-License-Identifier: AGPL-3.0-or-later
-- A proof that an agent of the application knew a task by that name. Agents check it; the server only keeps and presents it.
ALTER TABLE task_name ADD COLUMN proof TEXT NOT NULL DEFAULT '';
