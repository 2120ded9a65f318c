"""An upstream with Open WebUI's routes, built on the server stack that Open WebUI itself runs on.

One process is one tenant:

    WEBUI_NAME=acme python3 -m uvicorn upstream:app --port 3000 --forwarded-allow-ips '*'

It answers what a reverse proxy can break: absolute redirects made from Host and scheme, a client
address read from X-Forwarded-For, sign-in by trusted header, tokens that arrive over Socket.IO,
server-sent events, big uploads, and a single-page application that answers 200 to any path.
`/api/echo` tells what reached the application; every answer carries X-Upstream with the name.
"""

import asyncio
import hashlib
import json
import os
import time
import uuid

import jwt
import socketio
from fastapi import FastAPI, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)

NAME = os.environ.get("WEBUI_NAME", "Open WebUI")
VERSION = os.environ.get("WEBUI_VERSION", "0.11.0")
SECRET = os.environ.get("WEBUI_SECRET_KEY", "t0p-s3cr3t")
OPENID_REDIRECT_URI = os.environ.get("OPENID_REDIRECT_URI", "")
TRUSTED_EMAIL_HEADER = os.environ.get("WEBUI_AUTH_TRUSTED_EMAIL_HEADER", "")
TRUSTED_ROLE_HEADER = os.environ.get("WEBUI_AUTH_TRUSTED_ROLE_HEADER", "")
CORS_ALLOW_ORIGIN = os.environ.get("CORS_ALLOW_ORIGIN", "*").split(";")
WEBSOCKET = os.environ.get("ENABLE_WEBSOCKET_SUPPORT", "true").lower() == "true"
READY_FILE = os.environ.get("WEBUI_READY_FILE", "")
OAUTH_PROVIDER = os.environ.get("OAUTH_PROVIDER_NAME", "")
SESSION_COOKIE_SECURE = os.environ.get("WEBUI_SESSION_COOKIE_SECURE", "")
SESSION_COOKIE_SAME_SITE = os.environ.get("WEBUI_SESSION_COOKIE_SAME_SITE", "lax")
AUTH_COOKIE = {
    "httponly": True,
    "samesite": os.environ.get("WEBUI_AUTH_COOKIE_SAME_SITE", SESSION_COOKIE_SAME_SITE),
    "secure": os.environ.get("WEBUI_AUTH_COOKIE_SECURE", SESSION_COOKIE_SECURE).lower() == "true",
}
TOKENS = ["The", " quick", " brown", " fox", "."]
SHELL = (
    f"<!doctype html><title>{NAME}</title><link rel=icon href=/static/favicon.png>"
    "<div id=app></div><script src=/_app/immutable/entry.js></script>"
)
# What the web interface does, as its build is: every URL begins at the root of the host.
ENTRY = """
const state = {events: [], sid: null, closed: 0};
function connect(token) {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(
    `${scheme}//${location.host}/ws/socket.io/?EIO=4&transport=websocket`);
  state.socket = socket;
  socket.onmessage = ({data}) => {
    if (data[0] === '0') socket.send('40' + JSON.stringify({token}));
    else if (data[0] === '2') socket.send('3');
    else if (data.startsWith('40')) state.sid = JSON.parse(data.slice(2)).sid;
    else if (data.startsWith('42')) state.events.push(JSON.parse(data.slice(2))[1].data);
    else if (data.startsWith('430')) state.told(JSON.parse(data.slice(3))[0]);
  };
  socket.onclose = () => { state.closed++; };
}
function call(path, options = {}) {
  const headers = {'Content-Type': 'application/json'};
  if (localStorage.token) headers.Authorization = `Bearer ${localStorage.token}`;
  return fetch(path, {...options, headers});
}
async function signIn(email) {
  const body = JSON.stringify({email});
  const answer = await call('/api/v1/auths/signin', {method: 'POST', body});
  localStorage.token = (await answer.json()).token;
  connect(localStorage.token);
}
function ask() {
  const body = JSON.stringify({session_id: state.sid, chat_id: 'c1', id: 'm1', messages: []});
  return call('/api/chat/completions', {method: 'POST', body}).then(answer => answer.status);
}
function answer() {
  return state.events.map(event => event.data.content || '').join('');
}
function whoami() {  // asked over the socket
  return new Promise(resolve => {
    state.told = resolve;
    state.socket.send('420["whoami"]');
  });
}
call('/api/config').then(answer => answer.json()).then(config => {
  document.getElementById('app').textContent = config.name;
});
if (localStorage.token) connect(localStorage.token);
"""

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
sio = socketio.AsyncServer(
    async_mode="asgi",
    cors_allowed_origins="*" if CORS_ALLOW_ORIGIN == ["*"] else CORS_ALLOW_ORIGIN,
    transports=["websocket"] if WEBSOCKET else ["polling"],
)
app.add_middleware(
    CORSMiddleware,
    allow_origins=CORS_ALLOW_ORIGIN,
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)
# Starlette 0.26 hands a mounted application the path without the mount's own prefix.
app.mount("/ws", socketio.ASGIApp(sio, socketio_path="socket.io"))

checks = {"/health": 0, "/ready": 0}  # how often they were asked for
users = {}  # socket id -> user id
handshakes = {}  # socket id -> the headers that the handshake carried


def create_token(user_id):
    now = int(time.time())
    claims = {"id": user_id, "jti": str(uuid.uuid4()), "iat": now, "exp": now + 3600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@app.middleware("http")
async def name_the_upstream(request: Request, call_next):
    response = await call_next(request)
    response.headers["X-Upstream"] = NAME
    response.headers["X-Upstream-Path"] = request.scope["raw_path"].decode("latin-1")
    return response


@app.get("/health")
async def health():
    checks["/health"] += 1
    return {"status": True}


@app.get("/ready")
async def ready():
    """As it is, unless the file of WEBUI_READY_FILE says else: a status, or "page" for what a
    version without this route answers, "big page" where pictures stand in it."""
    checks["/ready"] += 1
    told = ""
    if READY_FILE and os.path.exists(READY_FILE):
        with open(READY_FILE) as file:
            told = file.read().strip()
    if told == "page":
        return HTMLResponse(SHELL)
    if told == "big page":
        return HTMLResponse(SHELL + " " * 100_000)
    if told:
        return JSONResponse({"status": False}, status_code=int(told))
    return {"status": True}


@app.get("/api/checks")
async def told_checks():
    return checks


@app.get("/api/config")
async def config():
    features = {"auth": True, "auth_trusted_header": bool(TRUSTED_EMAIL_HEADER)}
    told = {"status": True, "name": NAME, "version": VERSION, "features": features}
    if OAUTH_PROVIDER:
        told["oauth"] = {"providers": {"oidc": OAUTH_PROVIDER}}
    return told


@app.get("/api/version")
async def version():
    return {"version": VERSION, "deployment_id": NAME}


@app.api_route("/api/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def echo(request: Request):
    scope = request.scope
    return {
        "name": NAME,
        "method": scope["method"],
        "path": scope["raw_path"].decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "scheme": scope["scheme"],
        "client": scope["client"][0] if scope["client"] else None,
        "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]],
        "body_bytes": len(await request.body()),
    }


@app.get("/api/v1/analytics/models/{model_id:path}/overview")
async def model_overview(model_id: str):
    """Asked for by the page with encodeURIComponent(model_id)."""
    return {"model_id": model_id}


@app.post("/api/v1/auths/signin")
async def signin(request: Request):
    if TRUSTED_EMAIL_HEADER:
        email = request.headers.get(TRUSTED_EMAIL_HEADER)
        if not email:
            return JSONResponse({"detail": "invalid trusted header"}, status_code=400)
        role = request.headers.get(TRUSTED_ROLE_HEADER, "user") if TRUSTED_ROLE_HEADER else "user"
    else:
        email, role = (await request.json())["email"], "user"
    user_id = str(uuid.uuid5(uuid.NAMESPACE_URL, email))
    token = create_token(user_id)
    answer = JSONResponse({"id": user_id, "email": email, "role": role, "token": token})
    answer.set_cookie("token", token, **AUTH_COOKIE)
    return answer


@app.get("/api/v1/auths/")
async def session(request: Request):
    """Who somebody is; the token is given as a cookie once more."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        user_id = jwt.decode(token, SECRET, algorithms=["HS256"])["id"]
    except jwt.InvalidTokenError:
        return JSONResponse({"detail": "401 Unauthorized"}, status_code=401)
    answer = JSONResponse({"id": user_id, "token": token})
    answer.set_cookie("token", token, **AUTH_COOKIE)
    return answer


async def tell_tokens(user_id, body):
    message = {"chat_id": body["chat_id"], "message_id": body["id"]}
    for token in TOKENS:
        data = {"type": "chat:message:delta", "data": {"content": token}}
        await sio.emit("events", {**message, "data": data}, room=f"user:{user_id}")
        await asyncio.sleep(0.01)
    data = {"type": "chat:completion", "data": {"done": True}}
    await sio.emit("events", {**message, "data": data}, room=f"user:{user_id}")


async def stream_tokens(pause_s):
    for token in TOKENS:
        delta = {"choices": [{"delta": {"content": token}}], "sent_at": time.monotonic()}
        yield f"data: {json.dumps(delta)}\n\n"
        await asyncio.sleep(pause_s)
    yield "data: [DONE]\n\n"


async def end_later():
    yield "ok"
    await asyncio.sleep(0.2)


@app.get("/api/ended-later")
async def ended_later():
    """The body is complete long before the application is done with it."""
    return StreamingResponse(end_later(), headers={"Content-Length": "2"})


@app.post("/api/chat/completions")
async def chat_completions(request: Request):
    """The web interface gets task ids here and its tokens over Socket.IO; API clients stream."""
    body = await request.json()
    if body.get("session_id") and body.get("chat_id"):
        user_id = users.get(body["session_id"])
        if user_id is None:
            return JSONResponse({"detail": "unknown session"}, status_code=400)
        asyncio.get_running_loop().create_task(tell_tokens(user_id, body))
        return {"status": True, "task_ids": [str(uuid.uuid4())]}
    if body.get("stream"):
        pause_s = float(body.get("pause_s", 0.1))
        return StreamingResponse(stream_tokens(pause_s), media_type="text/event-stream")
    return {"choices": [{"message": {"role": "assistant", "content": "".join(TOKENS)}}]}


@app.post("/api/v1/files/")
async def upload(file: UploadFile):
    digest, size = hashlib.sha256(), 0
    while chunk := await file.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    return {
        "id": str(uuid.uuid4()),
        "filename": file.filename,
        "size": size,
        "sha256": digest.hexdigest(),
    }


@app.get("/_app/immutable/entry.js")
async def entry():
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return PlainTextResponse(ENTRY, media_type="text/javascript", headers=headers)


@app.get("/oauth/{provider}/login")
async def oauth_login(provider: str, request: Request):
    """Open WebUI makes the redirect_uri from Host and scheme, as the proxy let them through, where
    its environment has none."""
    uri = OPENID_REDIRECT_URI or request.url_for("oauth_callback", provider=provider)
    location = f"https://id.example.com/authorize?client_id={provider}&redirect_uri={uri}"
    answer = RedirectResponse(location, status_code=302)
    # Starlette's SessionMiddleware, with the state of the sign-in.
    answer.set_cookie(
        "owui-session",
        "state",
        httponly=True,
        samesite=SESSION_COOKIE_SAME_SITE,
        secure=SESSION_COOKIE_SECURE.lower() == "true",
    )
    return answer


@app.get("/oauth/{provider}/login/callback")
async def oauth_callback(provider: str):
    return {"provider": provider}


@app.get("/api/sockets/{session_id}")
async def socket_headers(session_id: str):
    """The headers that a Socket.IO handshake arrived with, for the tests."""
    return {"headers": handshakes.get(session_id, [])}


@app.api_route("/{path:path}", methods=["GET", "HEAD"])
async def single_page_application(path: str):
    if path.endswith(".js"):
        return PlainTextResponse("Not Found", status_code=404)
    return StreamingResponse(iter([SHELL]), media_type="text/html")


@sio.event
async def connect(session_id, environ, auth):
    token = (auth or {}).get("token")
    try:
        claims = jwt.decode(token or "", SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise socketio.exceptions.ConnectionRefusedError("unauthorized")
    users[session_id] = claims["id"]
    scope = environ["asgi.scope"]
    handshakes[session_id] = [
        [k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]
    ]
    sio.enter_room(session_id, f"user:{claims['id']}")


@sio.event
async def disconnect(session_id):
    users.pop(session_id, None)
    handshakes.pop(session_id, None)


@sio.on("whoami")
async def whoami(session_id):
    headers = handshakes.get(session_id, [])
    return {"name": NAME, "user": users.get(session_id), "headers": headers}
