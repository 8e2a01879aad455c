"""What monitoring and load balancers see: holdfast-admin metrics, and the health
call of the server itself."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from instance import TOP, find_build, wait_for
from test_server import auth

# ./check puts one into the build folder.
PROMTOOL = shutil.which('promtool', path=f'{os.environ["PATH"]}:'
                                         f'{find_build()}')


def metrics(inst):
    """{name with labels: value}"""
    found = {}
    for line in inst.admin('metrics').splitlines():
        if not line.startswith('#'):
            name, value = line.rsplit(' ', 1)
            found[name] = float(value)
    return found


def http(inst, request):
    r = subprocess.run(
        [inst.programs / 'holdfast-admin', 'metrics', '--http', '--run-dir',
         inst.run_dir], input=request, capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr
    head, _, body = r.stdout.partition(b'\r\n\r\n')
    return head.decode(), body.decode()


def get(inst, path):
    return http(inst, f'GET {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())


def test_sessions_and_chunks_are_counted(instance, snapshot, image):
    what = snapshot()
    before = metrics(instance)
    session = instance.backup(what)
    open_now = metrics(instance)
    session.backup_images({'a.img.fidx': image(3)})
    session.close()
    after = metrics(instance)

    def grown(name):
        return after[name] - before.get(name, 0)
    store = instance.state['datastores'][0]
    assert open_now[f'holdfast_sessions{{store="{store}",kind="backup"}}'] >= 1
    assert open_now[f'holdfast_locks{{store="{store}",mode="exclusive"}}'] >= 1
    assert grown(f'holdfast_uploaded_chunks_total{{store="{store}"}}') == 3
    assert grown(f'holdfast_uploaded_bytes_total{{store="{store}"}}') > 0
    assert grown(f'holdfast_sessions_ended_total{{store="{store}",'
                 'kind="backup",result="finished"}') == 1
    assert grown('holdfast_tasks_total{type="backup",result="ok"}') == 1
    assert after['holdfast_up{daemon="validator"}'] == 1
    assert after[f'holdfast_store_up{{store="{store}"}}'] == 1
    assert after[f'holdfast_store_size_bytes{{store="{store}"}}'] > 0


def test_a_client_that_leaves_is_counted(instance, snapshot):
    store = instance.state['datastores'][0]
    name = (f'holdfast_sessions_ended_total{{store="{store}",kind="backup",'
            'result="left"}')
    before = metrics(instance)[name]
    instance.backup(snapshot()).close()
    assert wait_for(lambda: metrics(instance)[name] == before + 1, 60)


@pytest.mark.skipif(PROMTOOL is None, reason='no promtool')
def test_prometheus_can_read_it(instance):
    r = subprocess.run([PROMTOOL, 'check', 'metrics'], text=True,
                       input=get(instance, '/metrics')[1],
                       capture_output=True, timeout=120)
    assert r.returncode == 0 and not r.stderr, r.stdout + r.stderr


def test_http(instance):
    head, body = get(instance, '/metrics')
    assert head.startswith('HTTP/1.1 200 ')
    assert 'text/plain; version=0.0.4' in head
    assert f'Content-Length: {len(body)}' in head
    assert body.endswith('\n') and 'holdfast_up' in body
    assert get(instance, '/health') == (
        'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'
        'Content-Length: 3\r\nConnection: close', 'ok\n')
    assert get(instance, '/other')[0].startswith('HTTP/1.1 404 ')
    assert http(instance, b'POST /metrics HTTP/1.1\r\n\r\n')[0] \
        .startswith('HTTP/1.1 404 ')
    assert http(instance, b'GET /metrics HTTP/1.1\r\n') == ('', '')
    assert http(instance, b'\0' * 100000) == ('', '')


def test_health_without_the_validator(fresh_instance):
    inst = fresh_instance()
    inst.end('validator', signal.SIGKILL)
    head, body = get(inst, '/health')
    assert head.startswith('HTTP/1.1 503 ')
    assert body == 'holdfast-validator does not answer\n'
    body = get(inst, '/metrics')[1]
    assert 'holdfast_up{daemon="validator"} 0\n' in body
    assert 'holdfast_up{daemon="auth"} 1\n' in body


# ---- on the server's own port

def health(conn, method='GET'):
    r = conn.request(method, '/health', headers={'Connection': 'keep-alive'})
    return r.status, r.text


def health_head(conn):
    """The head of the answer; there must be nothing behind it."""
    conn.send_head('HEAD', '/health', {'Connection': 'close'})
    head = conn.read_until(b'\r\n\r\n').decode()
    assert not conn.rest and conn.sock.recv(1) == b''
    return head


def test_health_on_the_port_of_clients(instance):
    conn = instance.connect()
    try:
        assert health(conn) == (200, 'ok\n')
        assert health(conn, 'POST') == (404, "Path '/health' not found.")
    finally:
        conn.close()
    conn = instance.connect()
    try:
        head = health_head(conn)
    finally:
        conn.close()
    assert head.startswith('HTTP/1.1 200 OK\r\n')
    assert 'content-length: 3\r\n' in head


def test_health_says_no_more_than_that(instance):
    """The same for who has logged in."""
    conn = instance.login()
    try:
        assert health(conn) == (200, 'ok\n')
        assert conn.request('GET', '/health', {'verbose': 1}).status == 400
    finally:
        conn.close()


def test_health_is_answered_once_a_second(instance):
    conn = instance.connect()
    try:
        start = time.monotonic()
        for _ in range(3):
            assert health(conn)[0] == 200
        assert time.monotonic() - start >= 2
    finally:
        conn.close()


def test_health_when_a_daemon_is_stuck(fresh_instance):
    inst = fresh_instance()
    conn = inst.connect()  # whose handshake needs auth

    def becomes(answer):
        return wait_for(lambda: health(conn) == answer, 60)

    try:
        assert becomes((200, 'ok\n'))
        for stop in (lambda signo: os.kill(auth(inst)[0], signo),
                     lambda signo: inst.kill('validator', signo)):
            stop(signal.SIGSTOP)
            try:
                assert becomes((503, 'unavailable\n'))
            finally:
                stop(signal.SIGCONT)
            assert becomes((200, 'ok\n'))
        inst.end('validator', signal.SIGKILL)
        assert becomes((503, 'unavailable\n'))
        other = inst.connect()
        try:
            assert health_head(other).startswith('HTTP/1.1 503 ')
        finally:
            other.close()
        inst.start_validator()
        assert becomes((200, 'ok\n'))
    finally:
        conn.close()


def test_the_dashboard_shows_what_there_is(instance):
    text = pathlib.Path(TOP / 'etc' / 'grafana-dashboard.json').read_text()
    json.loads(text)
    there = set(re.findall('^# TYPE (holdfast_[a-z_]+)',
                           instance.admin('metrics'), re.MULTILINE))
    asked = {name.removesuffix('_bucket')
             for name in re.findall('holdfast_[a-z_]+', text)}
    assert asked and asked <= there
