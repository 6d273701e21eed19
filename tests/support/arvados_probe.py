"""Runs inside the Arvados client's own environment: a JSON question a line on stdin, a JSON answer a line on stdout."""

import json
import sys

import arvados.errors
from arvados.collection import Collection, CollectionWriter
from arvados.keep import KeepClient


class NoServer:
    """What the client asks of an API server when it only works on a manifest."""

    _rootDesc = {"defaultCollectionReplication": 1}  # noqa: N815, RUF012
    insecure = False


def collection(text="", keep=None):
    client = KeepClient(proxy=keep, api_token="anything", local_store="") if keep else object()
    return Collection(text or None, api_client=NoServer(), keep_client=client)


def walk(node, prefix=""):
    for name in node:
        if isinstance(node[name], arvados.arvfile.ArvadosFile):
            yield prefix + name, node[name]
        else:
            yield from walk(node[name], prefix + name + "/")


def normalise(text):
    return collection(text).manifest_text(strip=True, normalize=True)


def portable_data_hash(text):
    return collection(text).portable_data_hash()


def files(text):
    return {path: node.size() for path, node in walk(collection(text))}


def read(text, keep):
    found = collection(text, keep)
    return {path: found.open(path, "rb").read().hex() for path, _ in walk(found)}


def write(files, keep, packed):
    return (write_packed if packed else write_one_by_one)(files, keep)


def write_one_by_one(files, keep):
    made = collection(keep=keep)
    for path, content in files.items():
        with made.open(path, "wb") as stream:
            stream.write(bytes.fromhex(content))
    return made.manifest_text(strip=True)


def write_packed(files, keep):
    writer = CollectionWriter(NoServer(), replication=1)
    writer._keep_client = KeepClient(proxy=keep, api_token="anything", local_store="")
    for path, content in files.items():
        directory, _, name = path.rpartition("/")
        stream = "./" + directory if directory else "."
        if writer.current_stream_name() != stream:
            writer.start_new_stream(stream)
        writer.start_new_file(name)
        writer.write(bytes.fromhex(content))
    return writer.manifest_text()


QUESTIONS = {function.__name__: function for function in (normalise, portable_data_hash, files, read, write)}
REFUSALS = (arvados.errors.ArgumentError, arvados.errors.SyntaxError)

for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"answer": QUESTIONS[asked.pop("question")](**asked)}
    except REFUSALS as refusal:
        answer = {"refused": str(refusal)}
    print(json.dumps(answer), flush=True)
