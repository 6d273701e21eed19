-- When an operator kept the later one of two executions that disagree; null: nobody did.
alter table rm.disagreements add column kept_at bigint;
create index disagreements_by_later on rm.disagreements (later);
