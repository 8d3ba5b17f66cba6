-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Alerts: rules, channels, what fired, and the messages until they are delivered. Times are microseconds UTC.

-- When a finding was first seen, which may be later than it began.
ALTER TABLE finding ADD COLUMN found_at INTEGER NOT NULL DEFAULT 0;
UPDATE finding SET found_at = began_at;

CREATE TABLE alert_rule (
  id INTEGER PRIMARY KEY,
  definition TEXT NOT NULL,                 -- JSON of z4j/rules/alerts/alert_rule.py
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE alert_channel (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                       -- apprise, webhook
  shown TEXT NOT NULL,                      -- the address without its secrets
  sealed TEXT NOT NULL,                     -- the address and the key of a webhook, encrypted with values.key
  is_enabled INTEGER NOT NULL,
  is_weekly INTEGER NOT NULL,               -- sends a message each week that says that it works
  weekly_at INTEGER NOT NULL,               -- when it last did
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  delivered_at INTEGER,
  failing_since INTEGER,
  error TEXT NOT NULL DEFAULT ''
) STRICT;

-- Nothing of a scope fires meanwhile.
CREATE TABLE maintenance (
  id INTEGER PRIMARY KEY,
  app TEXT NOT NULL,                        -- "": every one
  environment TEXT NOT NULL,
  begins_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  made_by TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX maintenance_end ON maintenance (ends_at);

CREATE TABLE alert (
  id INTEGER PRIMARY KEY,
  rule_id INTEGER NOT NULL,
  rule TEXT NOT NULL,                       -- its name then
  severity TEXT NOT NULL,
  app TEXT NOT NULL,
  environment TEXT NOT NULL,
  level TEXT NOT NULL,                      -- the worst it had
  title TEXT NOT NULL,                      -- of the last message
  opened_at INTEGER NOT NULL,
  fired_at INTEGER,                         -- NULL: held back
  reminded_at INTEGER,
  escalated_at INTEGER,
  acknowledged_at INTEGER,
  acknowledged_by TEXT NOT NULL DEFAULT '',
  resolved_at INTEGER                       -- NULL while it lasts
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (rule_id, app, environment) WHERE resolved_at IS NULL;
CREATE INDEX alert_opened ON alert (opened_at, id);
CREATE INDEX alert_fired ON alert (rule_id, app, environment, fired_at);
CREATE INDEX alert_resolved ON alert (resolved_at) WHERE resolved_at IS NOT NULL;

CREATE TABLE alert_item (
  alert_id INTEGER NOT NULL,
  key TEXT NOT NULL,                        -- of the finding
  level TEXT NOT NULL,
  title TEXT NOT NULL,
  text TEXT NOT NULL,
  href TEXT NOT NULL,
  since INTEGER NOT NULL,
  found_at INTEGER NOT NULL,
  joined_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (alert_id, key)
) STRICT, WITHOUT ROWID;

-- One row for each message and channel. It is sent until it is over: delivered, withdrawn, or given up.
CREATE TABLE alert_message (
  id TEXT PRIMARY KEY,
  alert_id INTEGER,                         -- NULL: about no alert
  channel_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,                       -- JSON of z4j/rules/alerts/message.py
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,                  -- later than its creation in quiet hours
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER,                          -- NULL: over
  delivered_at INTEGER,
  outcome TEXT NOT NULL DEFAULT '',         -- delivered, withdrawn, given up
  error TEXT NOT NULL DEFAULT ''            -- of the last attempt
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_message_next ON alert_message (next_at, id) WHERE next_at IS NOT NULL;
CREATE INDEX alert_message_alert ON alert_message (alert_id, created_at);
CREATE INDEX alert_message_created ON alert_message (created_at, id);
CREATE INDEX alert_message_channel ON alert_message (channel_id, created_at);
