-- Which jobs and tasks are hidden: looked at for each list.
create index notes_deleted on api.notes (uuid) where is_deleted;
