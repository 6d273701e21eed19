"""A TCP proxy before the broker, which can be cut, and can lose answers to requests that have arrived.

A process of its own, `python -m tests.chaos.proxy PORT TARGET`, told what to do by lines on its standard input: in a
thread beside Kafka's client it would stand still whenever that holds the interpreter's lock to wait for an answer.
"""

import asyncio
import contextlib
import subprocess
import sys

from tests.conftest import CHECKOUT

CHUNK = 65536
APART = 1e-6  # seconds between what is passed on, so that it keeps its order


class Proxy:
    """The proxy's process, and what it is told. `target`: port of what is behind it."""

    def __init__(self, port: int, target: int) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.proxy", str(port), str(target)]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Listen."""
        self._process = subprocess.Popen(
            self._command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._answer() == "ready"

    def stop(self) -> None:
        """End all connections."""
        assert self._process is not None
        self._process.communicate(timeout=30)

    def cut(self) -> None:
        """Nobody gets through from now on, and who was talking is cut off."""
        self._tell("cut")

    def mend(self) -> None:
        """Let everybody through."""
        self._tell("mend")

    def lose(self, count: int) -> None:
        """Lose so many of the next answers with their connections: the request has arrived, and nobody ever hears."""
        self._tell(f"lose {count}")

    def delay(self, seconds: float) -> None:
        """From now on each answer comes so much later."""
        self._tell(f"delay {seconds}")

    def hold(self, seconds: float) -> None:
        """From now on each request arrives so much later, if who sent it is still there."""
        self._tell(f"hold {seconds}")

    def lost(self) -> int:
        """How many answers were lost so far."""
        return int(self._tell("lost"))

    def _tell(self, line: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        return self._answer()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class _Server:
    def __init__(self, target: int) -> None:
        self._target = target
        self._reachable = True
        self._losing = 0
        self._lost = 0
        self._delay = self._hold = 0.0
        self._never = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def told(self, line: str) -> str:
        """Do what a line says; the answer."""
        word, _, value = line.partition(" ")
        match word:
            case "cut":
                self._reachable = False
                for writer in self._writers:
                    writer.transport.abort()
            case "mend":
                self._reachable = True
            case "lose":
                self._losing = int(value)
            case "delay":
                self._delay = float(value)
            case "hold":
                self._hold = float(value)
            case "lost":
                return str(self._lost)
        return "done"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        ends = [writer]
        self._writers.add(writer)
        try:
            if self._reachable:
                there, behind = await asyncio.open_connection("127.0.0.1", self._target)
                ends.append(behind)
                self._writers.add(behind)
                ways = [asyncio.ensure_future(way) for way in (self._there(reader, behind), self._back(there, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the broker is not there, or all is over
        finally:
            for one in ends:
                self._writers.discard(one)
                one.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, behind: asyncio.StreamWriter) -> None:
        """What is on the way when its sender is gone never arrives."""
        loop, due = asyncio.get_running_loop(), 0.0
        while data := await reader.read(CHUNK):
            due = max(due + APART, loop.time() + self._hold)  # never before what was sent before
            loop.call_at(due, behind.write, data)
            await behind.drain()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(CHUNK):
            if self._delay:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._never.wait(), self._delay)
            if self._losing > 0:
                self._losing -= 1
                self._lost += 1
                return
            writer.write(data)
            await writer.drain()


async def _main(port: int, target: int) -> None:
    server = _Server(target)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=256):
        print("ready", flush=True)
        while line := await lines.readline():
            print(server.told(line.decode().strip()), flush=True)
        server.told("cut")


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
