-- Which content is a part of which: who may read the whole may read the part. It follows from the content alone.
create table api.parts (
    portable_data_hash text not null,
    whole text not null,
    primary key (portable_data_hash, whole)
);
