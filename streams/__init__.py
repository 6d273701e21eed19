"""The log: its port, its adapters, and the loop that runs a machine on a partition.

How a process puts runners together (each part says more of itself):

    local = LocalStore(folder)            # streams/localstore.py: this process's own disk; None: state stays in memory
    snapshots = SharedSnapshots(folder)   # streams/snapshots.py: a folder that all coordinators see; files never change
    runner = Runner(log, machine, partition, snapshots, local=local, standby=None)    # streams/loop.py: the owner
    runner = Runner(log, machine, partition, snapshots, local=local, standby=Patience())  # streams/standby.py

A standby is a runner that follows until the floor stands still: `runner.following` says which it is at the moment, and
`runner.lead()` makes an owner of it for good. Both are driven by `Driver` (streams/driver.py), both take a `Ticker`.
`runner.close()` lets go of the partition's local state when the partition goes to another process; a new runner of the
same partition in this process does so too. `local.close()` at the end, after the threads of its runners have ended.
"""
