-- SPDX-License-Identifier: AGPL-3.0-or-later
-- list_began --
-- Findings that began since a time, the newest first. Index: finding_began.
SELECT kind, app, environment, engine, subject, level, title, text, began_at, ended_at FROM finding
WHERE began_at >= :since ORDER BY began_at DESC, id DESC LIMIT :limit;

-- list_over --
-- Findings that ended since a time, the newest first. Index: finding_ended.
SELECT kind, app, environment, engine, subject, level, title, began_at, ended_at FROM finding
WHERE ended_at >= :since ORDER BY ended_at DESC, id DESC LIMIT :limit;

-- list_plans --
-- Plans that ended since a time, the newest first. Index: plan_ended.
SELECT id, action, items, status, author, ended_at FROM plan WHERE ended_at >= :since ORDER BY ended_at DESC LIMIT :limit;

-- list_bad_commands --
-- Commands that did not end as done since a time, newest first. Index: command_bad.
SELECT action, task, queue, target, status, asked_by, ended_at FROM command
WHERE ended_at >= :since AND status IN ('failed', 'refused', 'unsupported', 'expired', 'unknown') ORDER BY ended_at DESC LIMIT :limit;

-- list_regressed --
-- Errors that regressed since a time, newest first. Index: error_group_regressed.
SELECT id, title, state_at FROM error_group
WHERE state = 3 AND state_at >= :since AND merged_into IS NULL ORDER BY state_at DESC LIMIT :limit;

-- list_edits --
-- Changes of schedules since a time, the newest first, with the schedule if it still exists. Index: schedule_edit_at, the unique one of
-- schedule.
SELECT e.by, e.action, coalesce(s.name, e.key), s.id, e.at FROM schedule_edit AS e
  LEFT JOIN schedule AS s ON s.app_id = e.app_id AND s.environment = e.environment AND s.scheduler = e.scheduler AND s.key = e.key
WHERE e.at >= :since ORDER BY e.at DESC LIMIT :limit;

-- list_releases --
-- Releases first seen since a time, the newest first. Index: release_sight_first.
SELECT a.name, coalesce(e.text, ''), r.text, s.first_at
FROM release_sight AS s JOIN app AS a ON a.id = s.app_id JOIN name AS r ON r.id = s.release_id LEFT JOIN name AS e ON e.id = s.environment_id
WHERE s.first_at >= :since ORDER BY s.first_at DESC LIMIT :limit;
