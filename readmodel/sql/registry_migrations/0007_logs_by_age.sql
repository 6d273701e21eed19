-- What clients wrote, in the order in which it is listed.
create index logs_by_age on api.logs (created_at);
