-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The index of words has a table for each day, made like this one, which stays empty: see search/word_index.sql.
CREATE VIRTUAL TABLE search_day USING fts5(words, content='', columnsize=0, detail=none, tokenize='ascii');
CREATE VIRTUAL TABLE search_day_words USING fts5vocab('search_day', 'row'); -- the words in it

-- Days that have a table.
CREATE TABLE search_table (
  day INTEGER PRIMARY KEY                   -- of first_at, in days since 1970
) STRICT;

-- Tasks whose words changed after they were indexed.
CREATE TABLE search_change (
  task INTEGER PRIMARY KEY,                 -- task.id
  parts INTEGER NOT NULL,                   -- 1: name, arguments and label; 2: result and error
  changes INTEGER NOT NULL                  -- how often since it was last indexed
) STRICT;

-- New tasks are indexed from here on, earlier ones from here back.
INSERT INTO setting (key, value) SELECT 'words_to', coalesce(max(id), 0) FROM task WHERE true ON CONFLICT DO NOTHING;
INSERT INTO setting (key, value) SELECT 'words_from', coalesce(max(id), 0) + 1 FROM task WHERE true ON CONFLICT DO NOTHING;
