"""`store create`: the folder that all machines share, made once for a log."""

from gateway import reach
from gateway.client import Client
from gateway.problems import Refused
from gateway.session import Session
from store import identity


def create(session: Session) -> None:
    """Make the shared store, or find that it is there already. Refused where it is another log's."""
    folder = session.folders.shared_store
    if folder is None:
        raise Refused("store.directory: name the folder that all machines share: CRUNCH_REUSE_STORE_DIRECTORY=...")
    with Client(session) as client:
        wanted = reach.store_identity(client.log)
    identity.claim(folder, wanted)
    if session.as_json:
        session.result({"store": str(folder), "log": wanted})
    session.say(f"{folder} is the store of this log")
