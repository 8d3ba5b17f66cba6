-- SPDX-License-Identifier: AGPL-3.0-or-later
-- The index of words: one table for each day, made like `search_day`, whose name is a placeholder for all of them. A table has no content
-- but the words: its row is that of the task, which has to be read for everything else. SQLite before 3.43 cannot delete from such a table,
-- so it is dropped with its day.

-- part_notes --
-- What the attempts of a task reported about themselves: JSON, a pair of texts each. Index: the primary key.
(SELECT json_group_array(json_array(n.fields, n.ids)) FROM run_note AS n WHERE n.task = t.id)

-- create_day --
-- The table of a day. `detail=none`: which tasks have a word, not where; no sizes, which only a ranking needs. What is given to it are
-- words already, with spaces between them: every other character is part of a word.
CREATE VIRTUAL TABLE IF NOT EXISTS search_day USING fts5(words, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '!#$%&()*+,-./:;<=>@[\]^_`{|}~'");

-- create_words --
-- What lists the words of a day. It stores nothing.
CREATE VIRTUAL TABLE IF NOT EXISTS search_day_words USING fts5vocab('search_day', 'row');

-- list_words --
-- The words of a day that begin with a text, up to a limit. Searches the index from there on.
SELECT term FROM search_day_words WHERE term >= :prefix AND term <= :prefix || char(0x10ffff) LIMIT :limit;

-- add_words --
-- Words of a task. Words that are added later to the same row are found beside the first.
INSERT INTO search_day (rowid, words) VALUES (?, ?);

-- set_option --
-- An option of the table that decides when FTS5 merges small segments of the index into larger ones.
INSERT INTO search_day (search_day, rank) VALUES (:name, :value);

-- merge --
-- Merges so many pages of segments. Changes fewer than two rows if there is nothing to merge.
INSERT INTO search_day (search_day, rank) VALUES ('merge', :pages);

-- empty_day --
-- Some pages of a day's index, before it is dropped: to free all of them at once would hold the writer too long. Index: the primary key.
DELETE FROM search_day_data WHERE id IN (SELECT id FROM search_day_data WHERE id > 10 ORDER BY id DESC LIMIT :limit);

-- drop_words --
-- What lists the words of a day.
DROP TABLE search_day_words;

-- drop_day --
-- The table of a day.
DROP TABLE search_day;

-- list_days --
-- Days that have a table, in days since 1970, newest first. Index: the primary key.
SELECT day FROM search_table ORDER BY day DESC;

-- note_day --
-- A day has a table.
INSERT INTO search_table (day, created_at, tasks) VALUES (:day, :at, 0) ON CONFLICT DO NOTHING;

-- count_in_day --
-- So many tasks were indexed for the first time in it.
UPDATE search_table SET tasks = tasks + :tasks WHERE day = :day;

-- list_large_days --
-- Days with many indexed tasks. There is a row for each day.
SELECT day, tasks FROM search_table WHERE tasks >= :least;

-- count_tasks --
-- How many tasks of a day there are. Index: task_first, by a reader, once an hour.
SELECT count(*) FROM task WHERE first_at >= :since AND first_at < :until;

-- list_tasks_of_day --
-- The tasks of a day. Index: task_first, by a reader, where few of many are left.
SELECT id FROM task WHERE first_at >= :since AND first_at < :until;

-- forget_day --
-- A day has none.
DELETE FROM search_table WHERE day = :day;

-- oldest_task --
-- When the oldest task came. Index: task_first.
SELECT min(first_at) FROM task;

-- read_positions --
-- How far new tasks, and those from before there was an index, are in it: row ids.
SELECT key, task FROM search_position;

-- put_position --
-- Stores the progress.
UPDATE search_position SET task = :id WHERE key = :key;

-- newest_task --
-- The highest row id. One step to the end of the table.
SELECT max(id) FROM task;

-- list_new --
-- What is to be indexed of new tasks. Index: the primary key.
SELECT t.id, t.first_at, n.text, t.args, t.label, t.task_id, t.result, t.error_type, t.error,
  {part_notes}
FROM task AS t LEFT JOIN name AS n ON n.id = t.name_id WHERE t.id > :after AND t.id <= :to ORDER BY t.id LIMIT :limit;

-- list_old --
-- The same of tasks from before there was an index, newest first.
SELECT t.id, t.first_at, n.text, t.args, t.label, t.task_id, t.result, t.error_type, t.error,
  {part_notes}
FROM task AS t LEFT JOIN name AS n ON n.id = t.name_id WHERE t.id < :before ORDER BY t.id DESC LIMIT :limit;

-- list_changed --
-- The same of tasks that changed after they were indexed. Index: the primary keys.
SELECT t.id, t.first_at, n.text, t.args, t.label, t.task_id, t.result, t.error_type, t.error,
  {part_notes}, c.task, c.parts, c.changes
FROM search_change AS c LEFT JOIN task AS t ON t.id = c.task LEFT JOIN name AS n ON n.id = t.name_id ORDER BY c.task LIMIT :limit;

-- forget_change --
-- A change is indexed, unless there was another one meanwhile.
DELETE FROM search_change WHERE task = ? AND changes = ?;

-- note_change --
-- A task changed after it was indexed.
INSERT INTO search_change (task, parts, changes) VALUES (?, ?, 1)
ON CONFLICT DO UPDATE SET parts = parts | excluded.parts, changes = changes + 1;

-- count_changes --
-- How many such changes there are, up to a limit. Index: the primary key.
SELECT count(*) FROM (SELECT 1 FROM search_change LIMIT :limit);

-- begin_read --
-- Tables of days are listed and read in one state of the database.
BEGIN;

-- end_read --
-- The end of it.
COMMIT;
