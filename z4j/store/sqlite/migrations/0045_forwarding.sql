-- SPDX-License-Identifier: AGPL-3.0-or-later
-- Targets that rows of the audit log and events of alerts are forwarded to. Times are microseconds UTC.

CREATE TABLE forward_target (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                       -- webhook, syslog, json
  shown TEXT NOT NULL,                      -- the address without its secrets
  sealed TEXT NOT NULL,                     -- the address, the key of a webhook and the CA, encrypted with values.key
  has_audit INTEGER NOT NULL,
  has_alerts INTEGER NOT NULL,
  actions TEXT NOT NULL,                    -- which actions of the audit log: patterns, JSON; []: every one
  is_enabled INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  audit_after INTEGER NOT NULL,             -- the last row of the audit log that was sent, or that no pattern matches
  alert_after INTEGER NOT NULL,             -- the same of alert_event
  sent INTEGER NOT NULL DEFAULT 0,
  sent_at INTEGER,
  failing_since INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,      -- that failed since the last success
  next_at INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT ''
) STRICT;

-- What happened with alerts, in order: alerts themselves are changed in place.
CREATE TABLE alert_event (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  alert_id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL                        -- JSON of z4j/rules/alerts/message.py
) STRICT;
CREATE INDEX alert_event_at ON alert_event (at);

-- The log of deliveries to webhooks.
CREATE TABLE forward_delivery (
  target_id INTEGER NOT NULL REFERENCES forward_target (id) ON DELETE CASCADE,
  stream TEXT NOT NULL,                     -- audit, alerts
  seq INTEGER NOT NULL,
  what TEXT NOT NULL,
  at INTEGER NOT NULL,                      -- of the first attempt
  attempts INTEGER NOT NULL,
  delivered_at INTEGER,
  outcome TEXT NOT NULL,                    -- delivered, failed (is tried again), refused (was skipped)
  error TEXT NOT NULL,
  PRIMARY KEY (target_id, stream, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX forward_delivery_at ON forward_delivery (at);
