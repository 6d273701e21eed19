"""The pages' routes: each page as HTML, as `.json` and as a live stream; forms; files."""

from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.api.app import body_of, token_of
from gateway.api.errors import ApiError, invalid
from gateway.api.service import Caller, Service
from gateway.pages import age, downloads, forms, guard, minutes, operating, render, views
from gateway.pages.fleet import Fleet
from gateway.pages.limit import Limit
from gateway.pages.live import Stream, Streams
from gateway.pages.look import Data, Look, View
from gateway.pages.partitions import Partitions
from gateway.pages.scout import Probe, Scout
from gateway.pages.session import COOKIE, SESSION_SECONDS, Session, Sessions
from readmodel.sight import sight

VIEWS = (*views.VIEWS, *operating.VIEWS, minutes.PAGE)
STATIC = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
FORM_BYTES = 16 * 1024
FORM_FIELDS = 20
TRIES, EVERY = 8, 15.0  # tries to sign in at once, and seconds until there is one more
LOOKS, LOOK_EVERY = 300, 1 / 30  # the same of pages, their JSON and files, for each token
LIVE_TROUBLE = "the page can't be made anew now"

Endpoint = Callable[[Request], Awaitable[Response]]


def probes(checkpoints: Path, views: Sequence[str] = ()) -> dict[str, Probe]:
    """What pages show of the log itself. `checkpoints`: the folder of states; `views`: URLs of workers."""
    made: dict[str, Probe] = {
        age.FACTS: age.ends_of_facts,
        "nodes": Fleet().look,
        "partitions": Partitions(checkpoints).look,
    }
    return made | {minutes.VIEWS: minutes.Workers(views).look} if views else made


class Pages:
    """The dashboard over a service. `scout`: reads what `probes` says for them. `looks`: how often one may ask."""

    def __init__(self, service: Service, scout: Scout) -> None:
        self._service = service
        self._sessions = Sessions(service)
        self._limit = Limit(TRIES, EVERY)
        self.looks = Limit(LOOKS, LOOK_EVERY)
        self._streams = Streams()
        self._scout = scout

    def routes(self) -> list[Route]:
        """All of them; those of the API come after."""
        made = [
            Route("/", _guarded(self._home)),
            Route("/login", _guarded(self._login_form), methods=["GET"]),
            Route("/login", _guarded(self._login), methods=["POST"]),
            Route("/logout", _guarded(self._logout), methods=["POST"]),
            *(Route(f"/static/{name}", _static(name, kind)) for name, kind in STATIC.items()),
            *(Route(path, _guarded(self._file(find))) for path, find in downloads.FILES.items()),
            *(Route(path, _guarded(self._form(act)), methods=["POST"]) for path, act in forms.FORMS.items()),
        ]
        for view in VIEWS:
            made.append(Route(f"{view.path}.json", _guarded(self._json(view), as_json=True)))
            made.append(Route(f"{view.path}.live", _guarded(self._live(view), as_json=True)))
            made.append(Route(view.path, _guarded(self._page(view))))
        return made

    def end(self) -> None:
        """Let live pages end, from any thread."""
        self._service.commands.news.end()

    # --- A page in its three forms ------------------------------------------------------------------------------------

    def _page(self, view: View) -> Endpoint:
        async def show(asked: Request) -> Response:
            session, look = await run_in_threadpool(self._new_look, asked)
            values = await run_in_threadpool(self._values, view, look, session, asked)
            return HTMLResponse(await run_in_threadpool(render.page, view.template, values))

        return show

    def _json(self, view: View) -> Endpoint:
        async def show(asked: Request) -> Response:
            _, look = await run_in_threadpool(self._new_look, asked)
            data = await run_in_threadpool(self._data, view, look)
            return Response(msgspec.json.encode(data), media_type="application/json")

        return show

    def _live(self, view: View) -> Endpoint:
        async def show(asked: Request) -> Response:
            await run_in_threadpool(self._new_look, asked)
            if not self._streams.enter():
                return Response(status_code=503, headers={"Retry-After": "30"})

            async def say() -> dict[str, object]:
                return await run_in_threadpool(self._said, view, asked)

            return Stream(say, self._service.commands.news, self._streams)

        return show

    def _said(self, view: View, asked: Request) -> dict[str, object]:
        """What a live page is told now: its parts, or why there is nothing new."""
        try:
            session, look = self._look(asked)
            values = self._values(view, look, session, asked)
            parts = {"main": render.main_of(view.template, values)}
            growing = {"is_growing": True} if values.get("is_growing") else {}
            return {"parts": parts, "age": msgspec.to_builtins(values["age"]), "trouble": "", **growing}
        except Exception as error:  # noqa: BLE001 # told to the page, which shows what it has meanwhile
            reply = guard.failed(asked, error, as_json=True)
            words = orjson.loads(bytes(reply.body))["errors"]
            return {"trouble": f"{LIVE_TROUBLE}: {'; '.join(words)}", "over": reply.status_code in (401, 404)}

    def _data(self, view: View, look: Look) -> Data:
        """What the page shows, and how old that is."""
        reading = self._scout.latest(age.FACTS)
        with look.rows() as connection:
            old = age.age(connection, reading.value, reading.at, reading.trouble)
        return {**view.build(look), "age": old}

    def _values(self, view: View, look: Look, session: Session | None, asked: Request) -> Data:
        """What the template is given."""
        data = self._data(view, look)
        with look.rows() as connection:
            everything = sight(connection, look.viewer).everything
        about = {
            "title": view.title,
            "view": view,
            "path": asked.url.path.removesuffix(".live"),
            "query": asked.url.query,
            "who": forms.name_of(look),
            "everything": everything,
            "mark": self._sessions.mark(session) if session else "",
        }
        return data | about

    # --- Who looks ----------------------------------------------------------------------------------------------------

    def _session(self, asked: Request) -> Session:
        return self._sessions.read(asked.cookies.get(COOKIE, ""))

    def _new_look(self, asked: Request) -> tuple[Session | None, Look]:
        """The same, where this token is not used too often. Raises TooMany."""
        session, look = self._look(asked)
        wait = self.looks.take(look.caller.token.uuid)
        if wait:
            raise guard.TooMany(wait, "Too many pages were asked for with this token")
        return session, look

    def _look(self, asked: Request) -> tuple[Session | None, Look]:
        """By cookie, or for programs by token. ApiError 401."""
        session: Session | None = None
        if token_of(asked):
            caller = self._service.caller(token_of(asked))
            self._sessions.check_reach(caller)
        else:
            session = self._session(asked)
            caller = self._sessions.caller(session)
        return session, self._looked(asked, caller)

    def _looked(self, asked: Request, caller: Caller) -> Look:
        names = {name: str(value) for name, value in asked.path_params.items()}
        return Look(self._service, self._scout, caller, names, dict(asked.query_params))

    # --- Signing in and out -------------------------------------------------------------------------------------------

    async def _home(self, _: Request) -> Response:
        return RedirectResponse("/jobs", 303)

    async def _login_form(self, asked: Request) -> Response:
        return _login_page(own_path(asked.query_params.get("next", "/")))

    async def _login(self, asked: Request) -> Response:
        guard.check_origin(asked)
        fields = await _fields(asked)
        address = asked.client.host if asked.client else ""
        wait = self._limit.take(address)
        if wait:
            raise guard.TooMany(wait, "Too many tries to sign in from where you are")
        target = own_path(fields.get("next", "/"))
        try:
            cookie = await run_in_threadpool(self._sessions.begin, fields.get("token", "").strip())
        except ApiError as error:
            if error.status != 401:
                raise
            return _login_page(target, is_refused=True)
        self._limit.give_back(address)
        response = RedirectResponse(target, 303)
        about: dict[str, Any] = {"secure": True, "httponly": True, "samesite": "lax", "max_age": SESSION_SECONDS}
        response.set_cookie(COOKIE, cookie, **about)
        return response

    async def _logout(self, asked: Request) -> Response:
        guard.check_origin(asked)
        await run_in_threadpool(self._sessions.end, asked.cookies.get(COOKIE, ""))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    # --- Forms and files ----------------------------------------------------------------------------------------------

    def _form(self, act: forms.Act) -> Endpoint:
        async def post(asked: Request) -> Response:
            guard.check_origin(asked)
            fields = await _fields(asked)
            session = self._session(asked)

            def done() -> str:
                self._sessions.check(session, fields.get("mark", ""))
                return act(self._looked(asked, self._sessions.caller(session)), fields)

            return RedirectResponse(await run_in_threadpool(done), 303)

        return post

    def _file(self, find: downloads.Find) -> Endpoint:
        async def send(asked: Request) -> Response:
            _, look = await run_in_threadpool(self._new_look, asked)
            response = await run_in_threadpool(find, look)
            response.headers.update(guard.DOWNLOAD)
            return response

        return send


def _guarded(endpoint: Endpoint, *, as_json: bool = False) -> Endpoint:
    async def answer(asked: Request) -> Response:
        try:
            response = await endpoint(asked)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001 # the last handler: it is told to the visitor, and to the log
            response = await run_in_threadpool(guard.failed, asked, error, as_json=as_json)
        return guard.guarded(response)

    return answer


def _login_page(target: str, *, is_refused: bool = False) -> Response:
    values = {"title": "Sign in", "next": target, "refused": is_refused}
    return HTMLResponse(render.page("login.html", values), 401 if is_refused else 200)


def _static(name: str, kind: str) -> Endpoint:
    async def send(_: Request) -> Response:
        body = files("gateway.pages").joinpath("static", name).read_bytes()
        return guard.guarded(Response(body, headers={"Cache-Control": "max-age=300"}, media_type=kind))

    return send


async def _fields(asked: Request) -> dict[str, str]:
    raw = await body_of(asked, FORM_BYTES)
    try:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FORM_FIELDS))
    except ValueError as error:
        raise invalid(f"a form here has at most {FORM_FIELDS} fields") from error


def own_path(text: str) -> str:
    """A path on this site, and nothing that a browser takes for another one."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_own else "/"
