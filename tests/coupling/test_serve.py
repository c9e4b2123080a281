"""What pages are guarded by: headers, host names, a short list of files, tokens."""

import http.client
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from feederloop.coupling.live.app import FILES
from feederloop.coupling.serve.access import Access
from feederloop.coupling.serve.files import file_routes
from feederloop.coupling.serve.server import Server
from feederloop.simulators.errors import InputError

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    serving = Server(Starlette(routes=file_routes(FILES)), Access(port=0))
    serving.start()
    yield serving
    serving.close()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize("path", sorted(FILES))
def test_files_come_with_a_strict_policy(server: Server, path: str) -> None:
    response = ask(server, path)
    assert response.status == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/../setup.cfg",
        "/%2e%2e/%2e%2e/setup.cfg",
        "//etc/passwd",
        "/live.js/../app.py",
        "/live%00.js",
        "/..%5c..%5capp.py",
    ],
)
def test_no_path_leads_out(server: Server, path: str) -> None:
    assert ask(server, path).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::2]:1"])
def test_other_names_of_this_machine_are_refused(server: Server, host: str) -> None:
    response = ask(server, "/", Host=host)
    assert response.status == 400
    assert response.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8765"])
def test_our_own_names_are_taken(server: Server, host: str) -> None:
    assert ask(server, "/", Host=host).status == 200


def test_other_methods_are_refused(server: Server) -> None:
    assert ask(server, "/", "POST").status == 405


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org", ""])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(InputError, match="needs a token"):
        Access(host)
    access = Access(host, chosen_token=TOKEN)
    assert not access.may_see("")
    assert access.may_see(TOKEN)
    assert access.host_names is None


@pytest.mark.parametrize("token", ["", "short", "0123456789abcde", "0123456789abcdef\n", "päßwörter-sind-lang"])
def test_weak_tokens_are_refused(token: str) -> None:
    with pytest.raises(InputError, match="token"):
        Access(chosen_token=token)


def test_looking_is_free_on_this_machine_acting_is_not() -> None:
    access = Access()
    assert access.may_see("")
    assert not access.may_act("")
    assert not access.may_act(None)
    assert access.may_act(access.token)
    assert access.token != Access().token


def test_a_port_that_is_taken_is_said_and_the_usual_one_evaded(server: Server) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        Server(Starlette(), Access(port=server.port))
    evading = Server(Starlette(), Access(usual_port=server.port))
    assert evading.port != server.port
    evading.close()


def test_bad_ports_and_addresses_are_refused() -> None:
    with pytest.raises(InputError, match="port"):
        Access(port=70000)
    with pytest.raises(InputError, match=r"cannot listen|no such address"):
        Server(Starlette(), Access("192.0.2.1", 0, TOKEN))


def test_the_token_stands_where_browsers_do_not_send_it(server: Server) -> None:
    assert server.url_to_act.startswith(f"{server.url}#token=")
