"""One executor: `python -m tests.support.node_process LOG STORE ROOT OFFER`. LOG: its address, as JSON.

It can't work while there is a file ROOT.trouble. SIGTERM drains it; SIGUSR1 makes it keep its interpreter
to itself for `HOLD_SECONDS`.
"""

import logging
import signal
import sys
import threading
from ctypes import PyDLL
from pathlib import Path

import msgspec

from consumers.executor.service import Executor, Offer
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.address import Address

HOLD_SECONDS = 11


def main(log: str, store: str, root: str, offer: str) -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    collections = CollectionStore(BlockStore(Path(store)))
    troubled = Path(root).with_suffix(".trouble")
    executor = Executor(
        msgspec.json.decode(log, type=Address).open(),
        collections,
        Path(root),
        msgspec.json.decode(offer, type=Offer),
        lambda: "the store is not mounted" if troubled.exists() else None,
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=executor.drain).start())
    # A function that is called so keeps the interpreter's lock.
    signal.signal(signal.SIGUSR1, lambda *_: PyDLL(None).usleep(HOLD_SECONDS * 1_000_000))
    executor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
