"""The audit logs of auth and the validator: who did what, in lines that
cannot be changed unnoticed."""

import json
import shutil

import pytest

from instance import InstanceError, wait_for
from pbs import CHUNK, PbsError


def lines(inst, who):
    text = (inst.dir / 'state' / who / 'audit.log').read_text()
    return [json.loads(line) for line in text.splitlines()]


def find(inst, who, **wanted):
    """Lines with these members; an underscore stands for a dash."""
    wanted = {k.replace('_', '-'): v for k, v in wanted.items()}
    return [line for line in lines(inst, who)
            if all(line.get(k) == v for k, v in wanted.items())]


def verify(inst, *args):
    return json.loads(inst.admin(
        'audit', 'verify', *args, '--state-dir', inst.dir / 'state',
        '--output-format', 'json'))


def test_logins_and_grants(instance):
    conn = instance.login()
    conn.get('admin/datastore/store/status')
    with pytest.raises(PbsError):
        instance.login('user@pbs', 'no password')
    assert find(instance, 'auth', event='login', outcome='ok',
                auth_id='user@pbs', by='password')
    refused = find(instance, 'auth', event='login', outcome='refused',
                   auth_id='user@pbs')
    assert refused[0]['peer'].startswith('127.0.0.1:')
    assert 'no password' not in str(lines(instance, 'auth'))
    assert find(instance, 'auth', event='grant', outcome='ok',
                auth_id='user@pbs', purpose='call', store='store')


def test_changes_of_accounts(instance):
    instance.admin('user', 'create', 'eve@pbs', data='secret-of-eve\n')
    instance.admin('acl', 'update', '/datastore/store', 'DatastoreAudit',
                   '--auth-id', 'eve@pbs')
    token = instance.admin_json('token', 'create', 'eve@pbs', 'tok')
    with pytest.raises(InstanceError):
        instance.admin('user', 'create', 'eve@pbs', data='secret-of-eve\n')
    instance.admin('user', 'remove', 'eve@pbs')
    assert [(c['command'], c['outcome']) for c in lines(instance, 'auth')
            if 'eve@pbs' in (c.get('userid'), c.get('auth-id'),
                             (c.get('tokenid') or '').split('!')[0])] == [
        ('user-create', 'ok'), ('acl-update', 'ok'), ('token-create', 'ok'),
        ('user-create', 'refused'), ('user-remove', 'ok')]
    text = str(lines(instance, 'auth'))
    assert 'secret-of-eve' not in text and token['value'] not in text


def test_sessions_and_verdicts(instance, snapshot, image):
    snap = snapshot()
    with instance.backup(snap) as session:
        wid = session.create_fixed('a.img.fidx', CHUNK)
        with pytest.raises(PbsError):
            session.chunk('fixed', wid, b'x' * CHUNK, digest=bytes(32))
    name = f'host/{snap[1]}/'
    assert find(instance, 'validator', event='session-open', outcome='ok')
    verdict = find(instance, 'validator', event='verdict')[-1]
    assert verdict['target'].startswith(name)
    assert verdict['auth-id'] == 'user@pbs'
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_images({'a.img.fidx': image(1)})
    done = find(instance, 'validator', event='session-finish')[-1]
    assert done['target'].startswith(f'host/{snap[1]}/')
    with pytest.raises(PbsError):
        instance.backup(snap, instance.login2())
    refused = find(instance, 'validator', event='session-open',
                   outcome='refused', auth_id='user2@pbs')
    assert 'owner check failed' in refused[-1]['reason']


def test_protection_and_deletion(instance, snapshot, image):
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_images({'a.img.fidx': image(1)})
    conn = instance.login()
    where = {'backup-type': snap[0], 'backup-id': snap[1],
             'backup-time': snap[2]}
    path = 'admin/datastore/store/'
    conn.put(path + 'protected', **where, protected=1)
    with pytest.raises(PbsError):
        conn.delete(path + 'snapshots', **where)
    conn.put(path + 'protected', **where, protected=0)
    conn.delete(path + 'snapshots', **where)
    other = instance.login2()
    with pytest.raises(PbsError):
        other.delete(path + 'snapshots', **where)
    mine = [line for line in lines(instance, 'validator')
            if line['event'] == 'call' and
            line.get('target', '').startswith(f'host/{snap[1]}/')]
    assert [(c['call'], c['auth-id'], c['outcome']) for c in mine] == [
        ('PROTECTED_SET', 'user@pbs', 'ok'),
        ('SNAP_DELETE', 'user@pbs', 'refused'),
        ('PROTECTED_SET', 'user@pbs', 'ok'),
        ('SNAP_DELETE', 'user@pbs', 'ok'),
        ('SNAP_DELETE', 'user2@pbs', 'refused')]
    assert [c['value'] for c in mine if c['call'] == 'PROTECTED_SET'] == \
        ['1', '0']


def test_full_files_are_kept_in_part(fresh_instance, snapshot):
    options = {'audit-file-size': '4K', 'audit-files': 2}
    inst = fresh_instance(server_options=options, validator_options=options)
    conn = inst.login()

    def removed():
        return all('removed the oldest file' in inst.log_tail(name, 10 ** 9)
                   for name in ('server', 'validator'))
    for _ in range(500):
        with inst.backup(snapshot(), inst.login()) as session:
            session.backup_images({'a.img.fidx': b'x' * 4096})
        conn.get('admin/datastore/store/status')
        if removed():
            break
    conn.close()
    assert removed()
    inst.end('server')
    inst.end('validator')
    for who in ('auth', 'validator'):
        folder = inst.dir / 'state' / who
        assert len(list(folder.glob('audit.log*'))) <= 3
    result = verify(inst)
    assert [r['result'] for r in result] == ['ok', 'ok']
    assert all(r['lines'] < r['last'] for r in result)


def test_flood_of_refusals_is_counted(instance):
    """Nobody needs an account to be refused."""
    conn = instance.login2()
    path = 'admin/datastore/store/protected'
    where = {'backup-type': 'host', 'backup-id': 'nobody',
             'backup-time': 1700000000, 'protected': 1}

    for _ in range(400):
        with pytest.raises(PbsError):
            conn.put(path, **where)
    conn.close()
    told = wait_for(lambda: find(instance, 'validator', event='left-out',
                                 of='call'))
    assert int(told[0]['count']) > 0


def test_verify(instance, folder):
    instance.restart_validator()
    result = verify(instance)
    assert [r['result'] for r in result] == ['ok', 'ok']
    assert all(r['lines'] == r['last'] > 0 for r in result)
    # The number and the hash were told to the system log, too.
    told = f'audit: line n={result[1]["last"]} hash={result[1]["hash"]}'
    assert wait_for(lambda: told in instance.log_tail('validator', 1000))

    copy = folder / 'copy'
    shutil.copytree(instance.dir / 'state' / 'validator', copy)
    assert verify(instance, copy)[0]['result'] == 'ok'
    log = copy / 'audit.log'
    log.write_text(log.read_text().replace('user2@pbs', 'user3@pbs'))
    with pytest.raises(InstanceError, match='its hash is wrong'):
        verify(instance, copy)
