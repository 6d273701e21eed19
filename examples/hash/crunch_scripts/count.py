#!/usr/bin/env python3
"""Digests, lines, words and k-mers of one file: the input `file` holds it, whatever its name."""

import collections
import hashlib
import json
import os


def main():
    folder = os.path.join(os.environ["TASK_INPUTS"], "file")
    [name] = os.listdir(folder)
    with open(os.path.join(folder, name), "rb") as source:
        data = source.read()
    result = describe(data, int(os.environ["JOB_PARAMETER_K"]))
    with open(os.path.join(os.environ["TASK_OUTPUT"], name + ".json"), "w") as output:
        json.dump(result, output, indent=1, sort_keys=True)


def describe(data, longest):
    """What the file is, in numbers: its k-mers of every length up to `longest`."""
    return {
        "bytes": len(data),
        "lines": data.count(b"\n"),
        "words": len(data.split()),
        "md5": hashlib.md5(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "kmers": {str(k): spectrum(data, k) for k in range(1, longest + 1)},
    }


def spectrum(data, k):
    """How many different k-mers there are, and the commonest three; equally common ones in their own order."""
    counts = collections.Counter(data[i : i + k] for i in range(len(data) - k + 1))
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
    return {"distinct": len(counts), "commonest": [[kmer.decode("latin-1"), count] for kmer, count in commonest]}


if __name__ == "__main__":
    main()
