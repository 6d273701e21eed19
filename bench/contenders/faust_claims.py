"""The claim protocol as a Faust agent, run by faust_app.py in an environment of its own, which has Faust.

Arguments: brokers, commands' topic, answers' topic, application id, processing guarantee, folder, partitions.
"""

# mypy: ignore-errors
# Faust has no types, and is not a package of this project's environment.

import os
import signal
import sys
import threading

import faust
import orjson

SERVERS, COMMANDS, ANSWERS, NAME, GUARANTEE, FOLDER, PARTITIONS = sys.argv[1:8]
app = faust.App(
    NAME,
    broker=f"aiokafka://{SERVERS}",
    processing_guarantee=GUARANTEE,
    store="memory://",
    datadir=FOLDER,
    topic_partitions=int(PARTITIONS),
    topic_replication_factor=1,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    web_enabled=False,
    value_serializer="raw",
    key_serializer="raw",
)
commands = app.topic(COMMANDS, value_serializer="raw", key_serializer="raw")
answers = app.topic(ANSWERS, value_serializer="raw", key_serializer="raw")
claims = app.Table("claims", partitions=int(PARTITIONS), key_type=bytes, value_type=bytes)


@app.agent(commands)
async def decide(stream):
    async for event in stream.events():
        body = orjson.loads(event.value)["body"]
        kept = claims.get(event.key)
        claim = orjson.loads(kept) if kept else {}
        said = say(claim, body, event.message)
        if said != "done":
            claims[event.key] = orjson.dumps(claim)
        answer = {"said": said, "fingerprint": event.key.decode(), "output": "", **claim}
        await answers.send(key=event.key, value=orjson.dumps(answer))


def say(claim, body, message):
    if body["type"] == "exited":
        claim.update(status="done", output=body["output"])
        return "completed"
    if not claim:
        token = f"{message.partition}.{message.offset}"
        claim.update(status="running", token=token, task=body["task"], root=body["root"])
        return "granted"
    return "done" if claim["status"] == "done" else "waiting"


@app.on_rebalance_complete.connect
async def say_ready(*_arguments, **_named):
    os.write(1, b"ready\n")  # Faust has put something else in the place of sys.stdout


def end_with_input():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    faust.Worker(app, loglevel="error").execute_from_commandline()
