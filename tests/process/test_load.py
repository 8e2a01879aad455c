"""Many connections leave nothing behind, and many idle sessions cost those
that are busy nothing.  bench/sessions does the same with thousands."""

import os

import pytest

import crowd
import footprint
import pbs
from instance import wait_for
from pbs import CHUNK
from test_metrics import metrics
from test_server import SPARES, workers

INSTANCE = {'server_options': {'max-connections-per-user': 200},
            'validator_options': {'max-sessions-per-user': 200,
                                  'max-inflight-per-user': '"1T"'}}
MANY = 200


root_only = pytest.mark.skipif(os.getuid() != 0,
                               reason='only root sees descriptors and memory')


# With the pools of spare processes full.
RESTING = {'holdfast-server': 1, 'holdfast-auth': 1, 'holdfast-hasher': 2,
           'holdfast-worker': SPARES, 'holdfast-validator': 1,
           'holdfast-checker': 2}


def at_rest(inst):
    """(processes, descriptors) when all sessions are over."""
    assert wait_for(lambda: not inst.admin_json('session', 'list'))
    last = []

    def settled():
        last.append(footprint.counted(inst))
        return len(last) > 5 and all(c == last[-1] for c in last[-5:]) and \
            last[-1][0] == RESTING
    assert wait_for(settled, step=0.1), last[-1]
    return last[-1]


@root_only
def test_many_connections_leave_nothing(instance):
    headers = instance.login().headers
    crowd.come_and_go(instance.connect, headers, 40)
    before = at_rest(instance)
    crowd.come_and_go(instance.connect, headers, MANY)
    assert wait_for(lambda: footprint.counted(instance) == before), before


def test_idle_sessions_do_not_hinder_busy_ones(instance, snapshot, image):
    conn = instance.login()
    headers = conn.headers
    conn.close()

    def session():
        conn = instance.connect()
        conn.headers = headers
        return instance.backup(snapshot(), conn)
    idle = [session() for _ in range(50)]

    def work(number):
        snap = snapshot()
        with instance.backup(snap) as busy:
            data = image(2, seed=number)
            busy.backup_images({'a.img.fidx': data})
        with instance.reader(snap) as reader:
            assert reader.image('a.img.fidx') == data
    crowd.in_threads(8, work)
    # They are still there.
    for s in idle:
        s.backup_images({'a.img.fidx': b'x' * 4096})
        s.close()


@root_only
def test_an_idle_session_gives_memory_back(instance, snapshot, image):
    """What its uploads needed, and its checker; and goes on with others."""
    def kib():
        return max(map(footprint.private_kib, workers(instance)))
    snap, data = snapshot(), image(3)
    with instance.backup(snap) as session:
        before = kib()
        wid = session.create_fixed('b.img.fidx', CHUNK)
        session.chunk('fixed', wid, data[:CHUNK])
        assert wait_for(
            lambda: metrics(instance)['holdfast_checkers_busy'] == 0)
        assert wait_for(lambda: kib() < before + 1024)
        session.append('fixed', wid, [pbs.sha256(data[:CHUNK])], [0])
        csum = pbs.fixed_csum([pbs.sha256(data[:CHUNK])])
        session.close_index('fixed', wid, 1, CHUNK, csum)
        session.backup_images({'a.img.fidx': data})
    with instance.reader(snap) as reader:
        assert reader.image('a.img.fidx') == data
