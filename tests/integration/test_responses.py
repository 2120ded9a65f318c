"""What is done to the answers of tenants that want it: cookies are made Secure, and nosniff."""

import json

import pytest

from support.clients import Http2, request
from support.stack import Upstream, run_agent_command

SECURED, PLAIN, SNIFFED = "secured.test", "plain.test", "sniffed.test"
SIGN_IN = ("/api/v1/auths/signin", "POST")


@pytest.fixture(scope="module")
def answers(new_module_stack, folder, upstreams):
    flags = {"WEBUI_SESSION_COOKIE_SECURE": "true", "WEBUI_AUTH_COOKIE_SECURE": "false"}
    knows = Upstream("knows", folder, env=flags)
    knows.start().wait()
    stack = new_module_stack(changes={"defaults": {"https": "off"}})
    stack.issue(SECURED, PLAIN, SNIFFED)
    alpha = upstreams["alpha"].url
    stack.write_tenants(
        {
            "secured": {"hosts": [SECURED], "upstream": knows.url, "secure_cookies": True},
            "plain": {"hosts": [PLAIN], "upstream": knows.url},
            "sniffed": {"hosts": [SNIFFED], "upstream": alpha, "nosniff": True},
        }
    )
    yield stack.start()
    knows.stop()


def sign_in(port, host, **where):
    path, method = SIGN_IN
    headers = [("Content-Type", "application/json")]
    return request(port, path, host, method, headers, b'{"email":"me@x.test"}', **where)


def attributes(answer):
    """Of the one cookie, in lower case."""
    (line,) = answer.all("Set-Cookie")
    return [part.strip().lower() for part in line.split(";")[1:]]


def test_a_cookie_is_made_secure_over_https_alone(answers):
    answer = sign_in(answers.https_port, SECURED, tls_name=SECURED)
    told = attributes(answer)
    assert answer.status == 200 and told.count("secure") == 1
    assert {"httponly", "samesite=lax", "path=/"} <= set(told)
    assert "secure" not in attributes(sign_in(answers.http_port, SECURED))
    assert "secure" not in attributes(sign_in(answers.https_port, PLAIN, tls_name=PLAIN))


def test_a_cookie_that_is_secure_is_so_once(answers):
    answer = request(answers.https_port, "/oauth/x/login", SECURED, tls_name=SECURED)
    assert attributes(answer).count("secure") == 1 and answer.status == 302
    assert answer.all("Set-Cookie")[0].startswith("owui-session=state;")
    with Http2(answers.https_port, SECURED) as client:
        answer = client.request("/oauth/x/login", authority=SECURED)
    assert attributes(answer).count("secure") == 1


def test_nosniff(answers):
    nosniff = "X-Content-Type-Options"
    assert request(answers.http_port, "/api/config", SNIFFED).all(nosniff) == ["nosniff"]
    assert request(answers.http_port, "/api/config", SECURED).header(nosniff) is None
    assert request(answers.http_port, "/api/config", PLAIN).header(nosniff) is None


def test_explain_and_diff_tell(answers, tmp_path):
    def explain(host):
        url = f"https://{host}/"
        done = run_agent_command("explain", "-c", answers.config_path, url, "--json")
        return json.loads(done.stdout).get("answers")

    assert explain(SECURED) == "cookies are made Secure over https"
    assert explain(SNIFFED) == "nosniff" and explain(PLAIN) is None
    tenant = {"hosts": [PLAIN], "upstream": "http://10.0.0.1:80"}
    files = []
    for number, more in enumerate(({}, {"secure_cookies": True, "nosniff": True})):
        files.append(tmp_path / f"owui-spoa.{number}.json")
        files[-1].write_text(json.dumps({"tenants": {"a": {**tenant, **more}}}))
    done = run_agent_command("diff", "--to-config", files[1], "-c", files[0])
    assert (
        "answers                  (none)  ->  cookies are made Secure" in done.stdout
    ), done.stdout
