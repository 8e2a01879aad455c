"""holdfast-admin metrics: what monitoring and load balancers see."""

import json
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from instance import TOP, wait_for

PROMTOOL = shutil.which('promtool')


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


def test_the_dashboard_shows_what_there_is(instance):
    text = pathlib.Path(TOP / 'etc' / 'grafana-dashboard.json').read_text()
    json.loads(text)
    there = set(re.findall('^# TYPE (holdfast_[a-z_]+)',
                           instance.admin('metrics'), re.MULTILINE))
    asked = {name.removesuffix('_bucket')
             for name in re.findall('holdfast_[a-z_]+', text)}
    assert asked and asked <= there
