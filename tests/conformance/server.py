"""A small Atlas API on FastAPI, with the framework's own login form, bearer scheme, cookies, validation and redirects.

It listens on a free port of the loopback interface, prints the port, and then a JSON object for each request. What is
not the API's own path is a web application. POST /control changes what the API does from then on.
"""

import hashlib
import json
import socket
import time
from datetime import datetime, timezone
from typing import Annotated

import jwt
import uvicorn
from fastapi import APIRouter, Cookie, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

KEY = "a key for tests that is long enough for HS256"
API = "/api/v1"
REFRESH_TTL_S = 7 * 86_400
LOGINS_PER_MINUTE = 5
CATALOG = 5
USER = {
    "id": "7f3c1b9e-0d5a-4c1e-9b62-2f6d1f0a8e11",
    "email": "ada@example.com",
    "username": "ada",
    "created_at": "2026-01-01T00:00:00.123456",
}
PASSWORD = "correct horse"


class Control(BaseModel):
    """How long access tokens live, whatever is announced, and what the configuration is and may become."""

    access_ttl_s: int = 1800
    content: str | None = "# Rules\n"
    commit_sha: str = "0123456789abcdef0123456789abcdef01234567"
    may_write: bool = True


class Version(BaseModel):
    content: str = Field(exclude=True)
    commit_sha: str
    message: str
    author: str = USER["email"]
    timestamp: str


class Note(BaseModel):
    title: str = Field(max_length=10)


control = Control()
logins: dict[str, list[float]] = {}
versions: list[Version] = []
app = FastAPI()
api = APIRouter(prefix=API)
bearer = OAuth2PasswordBearer(tokenUrl=f"{API}/auth/login")


def sign(kind: str, ttl_s: int) -> str:
    now = int(time.time())
    claims = {"sub": USER["id"], "email": USER["email"], "type": kind, "iat": now, "exp": now + ttl_s}
    return jwt.encode(claims, KEY, algorithm="HS256")


def holder(token: Annotated[str, Depends(bearer)]) -> dict[str, str]:
    try:
        jwt.decode(token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise unauthorized("Could not validate credentials") from None
    return USER


def unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


User = Annotated[dict[str, str], Depends(holder)]


def grant() -> dict[str, str | int]:
    return {"access_token": sign("access", control.access_ttl_s), "token_type": "bearer", "expires_in": 1800}


@api.post("/auth/login")
def login(request: Request, response: Response, form: Annotated[OAuth2PasswordRequestForm, Depends()]):
    address = request.client.host
    recent = [moment for moment in logins.get(address, []) if moment > time.time() - 60]
    logins[address] = [*recent, time.time()]
    if len(recent) >= LOGINS_PER_MINUTE:
        return JSONResponse({"error": f"Rate limit exceeded: {LOGINS_PER_MINUTE} per 1 minute"}, 429)
    if (form.username, form.password) != (USER["email"], PASSWORD):
        raise unauthorized("Incorrect email or password")
    response.set_cookie(
        "refresh_token",
        sign("refresh", REFRESH_TTL_S),
        max_age=REFRESH_TTL_S,
        path=f"{API}/auth",
        httponly=True,
        secure=True,
        samesite="lax",
    )
    return grant()


@api.post("/auth/refresh")
def refresh(refresh_token: Annotated[str | None, Cookie()] = None):
    if refresh_token is None:
        raise unauthorized("Refresh token missing")
    try:
        jwt.decode(refresh_token, KEY, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise unauthorized("Invalid refresh token") from None
    return grant()


@api.get("/auth/me")
def me(user: User):
    return user


@api.post("/auth/logout")
def logout(user: User, response: Response):
    response.delete_cookie("refresh_token", path=f"{API}/auth")
    return {"message": "Successfully logged out"}


@api.get("/configuration/me")
def configuration(user: User):
    return {"content": control.content, "commit_sha": control.commit_sha, "updated_at": moment()}


def moment() -> str:
    return datetime.now(timezone.utc).replace(tzinfo=None).isoformat()


class NewConfiguration(BaseModel):
    content: str
    message: str | None = None


@api.put("/configuration/me")
def save(new: NewConfiguration, user: User):
    return commit(new.content, new.message or "Update configuration", user)


def commit(content: str, message: str, user: User):
    if not control.may_write:
        raise HTTPException(403, "The repository is read-only")
    control.content = content
    control.commit_sha = hashlib.sha1(f"{len(versions)} {content}".encode()).hexdigest()
    new = Version(content=content, commit_sha=control.commit_sha, message=message, timestamp=moment())
    versions.insert(0, new)
    return configuration(user)


@api.get("/configuration/me/history")
def history(user: User, limit: Annotated[int, Query(ge=1, le=100)] = 20):
    return {"versions": versions[:limit], "total": len(versions)}


@api.post("/configuration/me/rollback/{commit_sha}")
def roll_back(commit_sha: str, user: User):
    older = next((version for version in versions if version.commit_sha == commit_sha), None)
    if older is None:
        raise HTTPException(404, "Version not found")
    return commit(older.content, f"Roll back to {commit_sha[:7]}", user)


@api.get("/catalog")
def catalog(page: int = 1, size: Annotated[int, Query(le=100)] = 20):
    items = [{"name": f"rule {number}"} for number in range(1, CATALOG + 1)]
    shown = items[(page - 1) * size : page * size]
    return {"items": shown, "total": CATALOG, "page": page, "size": size, "pages": -(-CATALOG // size)}


@api.get("/admin/users/")
def users(user: User):
    return {"items": [user], "total": 1, "page": 1, "page_size": 20}


@api.post("/notes/", status_code=201)
def create_note(note: Note, user: User):
    return note


@api.api_route("/echo/", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def echo(request: Request, user: User):
    return {"method": request.method, "query": request.url.query, "body": (await request.body()).decode()}


@api.get("/broken")
def broken(user: User):
    raise RuntimeError("the database is away")


@app.get("/health")
def health():
    return {"status": "healthy"}


@app.post("/control")
def change(new: Control):
    global control
    control = new


@app.exception_handler(404)
async def web_application(request: Request, error: HTTPException):
    if request.url.path.startswith(f"{API}/"):
        return JSONResponse({"detail": "Not Found"}, 404)
    return HTMLResponse("<!doctype html><title>Atlas</title>", 200 if request.method == "GET" else 405)


@app.middleware("http")
async def tell(request: Request, call_next):
    body = (await request.body()).decode()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        said = {
            "request": f"{request.method} {request.url.path}",
            "status": status,
            "password": "correct" in body,
            "bearer": "authorization" in request.headers,
        }
        if request.url.path != "/control":
            print(json.dumps(said), flush=True)


app.include_router(api)

if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])
