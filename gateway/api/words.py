"""What running tasks say, from and to machines of this system that share no folder with it."""

import re

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.app import answering, body_of, token_of
from gateway.api.errors import forbidden, invalid, not_found
from gateway.api.service import Service
from store.port import SpokenWords
from store.words import LONGEST, decode, encode

_NAME = re.compile(r"[0-9a-f]{16}")


class TasksWords:
    """The routes over the words beside the API's store. A token of scope `store` opens them, and no other."""

    def __init__(self, service: Service, words: SpokenWords) -> None:
        self._service = service
        self._words = words

    def routes(self) -> list[Route]:
        """Where they are: by the name of an execution."""
        return [Route("/words/{name}", answering(self.answer), methods=["GET", "PUT", "DELETE"])]

    async def answer(self, asked: Request) -> Response:
        """What was said, 404 where nothing is; or it is put, or taken back."""
        await run_in_threadpool(self._check, asked)
        name = str(asked.path_params["name"])
        if not _NAME.fullmatch(name):
            raise not_found()
        if asked.method == "PUT":
            return await self._put(asked, name)
        if asked.method == "DELETE":
            await run_in_threadpool(self._words.remove, name)
            return Response()
        said = await run_in_threadpool(self._words.get, name)
        if said is None:
            raise not_found("nothing is said under this name")
        return Response(encode(said), media_type="application/octet-stream")

    async def _put(self, asked: Request, name: str) -> Response:
        words = decode(await body_of(asked, LONGEST))
        if words is None:
            raise invalid("words: how many bytes were said, a line's end, and the last of them")
        await run_in_threadpool(self._words.put, name, words)
        return Response()

    def _check(self, asked: Request) -> None:
        if not self._service.caller(token_of(asked)).is_of_a_machine:
            raise forbidden()
