-- Digest of the fact before the offset `digest_before`: a log that was cut and has grown again holds another one there. It
-- says nothing where next_offset is another: then a projector of an earlier version was the last to move that.
alter table rm.applied add column digest text not null default '', add column digest_before bigint not null default 0;
