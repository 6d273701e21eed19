"""The whole system in processes of its own, on a real broker, under a storm of jobs and of mishaps: `./run chaos`.

town       the system: broker behind a proxy, Postgres, coordinators, executors, projector, API, all below one folder
storm      who asks: several users, jobs that are the same or overlap, grants, revocations, cancellations
nemeses    what befalls the town, in an order drawn from the seed
watch      what the facts say meanwhile: which jobs are open
reader     who asks the API meanwhile how jobs are, and holds it to what it said
judge      when all is over: every invariant, from the topics and from what was counted outside
report     what happened, how often, and what was found
mutant     one process of the town with a simpler rule: then the judge must find something
"""
