"""Many connections leave nothing behind, and many idle sessions cost those
that are busy nothing.  bench/sessions does the same with thousands."""

import os

import pytest

import crowd
import footprint
from instance import wait_for

INSTANCE = {'server_options': {'max-connections-per-user': 200},
            'validator_options': {'max-sessions-per-user': 200,
                                  'max-inflight-per-user': '"1T"'}}
MANY = 200


def at_rest(inst):
    """(processes, descriptors) when all sessions are over and the pools of
    spare processes are full."""
    assert wait_for(lambda: not inst.admin_json('session', 'list'))
    last = []

    def settled():
        last.append(footprint.counted(inst))
        return len(last) > 5 and all(c == last[-1] for c in last[-5:])
    assert wait_for(settled, step=0.1)
    return last[-1]


@pytest.mark.skipif(os.getuid() != 0, reason='only root sees descriptors')
def test_many_connections_leave_nothing(instance):
    headers = instance.login().headers
    crowd.come_and_go(instance.connect, headers, 40)
    before = at_rest(instance)
    crowd.come_and_go(instance.connect, headers, MANY)
    assert at_rest(instance) == before


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
