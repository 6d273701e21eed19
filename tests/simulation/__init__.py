"""A seeded simulator of the whole: shipped rules over a log in memory, virtual time, faults, an independent model.

A seed is a schedule, and says everything: who asks for what, which faults strike and when, how long each container
runs. All that happens is an event in one queue (`world`), so a schedule has no threads, waits for nothing, and comes
out the same to the byte whoever runs it.

    people ──▶ log in memory ◀── processes (Runner: Settings, Jobs, Claims, Dispatch)
                    ▲   │
                    │   └──────▶ model: every record, as it lands
                  nodes (ExecutorCore, VerifierCore) ──▶ containers

`people`, `catalogue`    who sends commands, and what the work consists of
`processes`              the shipped loop and machines: killed, doubled, frozen, upgraded, cut short within a step
`nodes`, `containers`    the shipped executor and verifier: killed, frozen, deaf, cut off; tasks that fail or disagree
`schedule`               what one seed draws; faults cease in the end, and then all must come to rest
`disasters`              a log truncated or made anew: a runner must refuse it
`model*`, `sight`        what must never be, known from the design and the records alone; imports no rule
`replay`                 the shipped audit decides everything again
`campaign`, `coverage`, `story`, `__main__`   many seeds; what they must have met; what a failing one tells
"""
