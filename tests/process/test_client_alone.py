"""holdfast against a server that is not ours, and one that lies."""

import json
import os
import subprocess
import time

import pytest

import instance as instance_module
import pbs
from fake_server import FakeServer, fixed_index
from terminal import Terminal

TIME = 1700000000
SNAPSHOT = ('host', 'h1', TIME)
NAME = 'host/h1/2023-11-14T22:13:20Z'


@pytest.fixture
def server(folder):
    fake = FakeServer(folder)
    yield fake
    fake.close()


@pytest.fixture
def run(server, folder):
    """Runs holdfast; returns the finished process."""
    def call(*args, env=None, **more):
        more.setdefault('stdin', subprocess.DEVNULL)
        more.setdefault('capture_output', True)
        return subprocess.run(
            [instance_module.find_build() / 'holdfast', *map(str, args)],
            env={'PATH': os.environ['PATH'], 'HOME': str(folder),
                 'PBS_REPOSITORY': server.repository(),
                 'PBS_FINGERPRINT': server.fingerprint,
                 'PBS_PASSWORD': server.password, 'TZ': 'UTC',
                 **(env or {})},
            timeout=120, **more)
    return call


def backup(run, folder, data, *more):
    path = folder / 'source'
    path.write_bytes(data)
    return run('backup', f'disk.img:{path}', '--backup-id', 'h1',
               '--backup-time', TIME, '--output-format', 'json', *more)


def restore(run, folder, what='disk.img'):
    path = folder / 'target'
    path.unlink(missing_ok=True)
    return run('restore', NAME, what, path), path


def make_previous(server, data):
    """The base is a backup of these bytes, all chunks known."""
    digests = [pbs.sha256(p) for p in pbs.split(data)]
    manifest = pbs.Manifest(('host', 'h1', 1600000000))
    manifest.add('disk.img.fidx', len(data), pbs.fixed_csum(digests))
    server.previous = {'index.json.blob': manifest.blob(),
                       'disk.img.fidx': fixed_index(len(data), digests)}
    for piece in pbs.split(data):
        server.chunks[pbs.sha256(piece).hex()] = pbs.blob(piece)


def uploads(server):
    return server.requests.count(('POST', '/fixed_chunk'))


# ---- backup and restore

def test_full_backup_and_restore(server, run, folder, image):
    data = image(5, tail=12345)
    r = backup(run, folder, data)
    assert r.returncode == 0, r.stderr
    result = json.loads(r.stdout)
    assert result['chunks'] == 6
    assert result['chunks-uploaded'] == 6
    assert result['chunks-reused'] == 0
    assert result['bytes'] == len(data)
    manifest = json.loads(pbs.unblob(
        server.files[SNAPSHOT]['index.json.blob']))
    assert manifest['files'][0]['filename'] == 'disk.img.fidx'
    assert manifest['files'][0]['size'] == len(data)
    r, path = restore(run, folder)
    assert r.returncode == 0, r.stderr
    assert path.read_bytes() == data


def test_many_chunks_need_several_index_requests(server, run, folder):
    """More distinct chunks than one request takes."""
    path, count = folder / 'source', 520
    with open(path, 'wb') as f:
        for i in range(count):
            f.seek(i * pbs.CHUNK)
            f.write(b'%d' % i)
        f.truncate(count * pbs.CHUNK)
    r = run('backup', f'disk.img:{path}', '--backup-id', 'h1',
            '--backup-time', TIME)
    assert r.returncode == 0, r.stderr
    assert uploads(server) == count
    assert server.requests.count(('PUT', '/fixed_index')) == 2
    r, target = restore(run, folder)
    assert r.returncode == 0, r.stderr
    with open(target, 'rb') as f:
        for i in range(count):
            f.seek(i * pbs.CHUNK)
            assert f.read(8) == (b'%d' % i).ljust(8, b'\0')
    assert target.stat().st_size == count * pbs.CHUNK


def test_equal_chunks_are_sent_once(server, run, folder, image):
    data = image(1) * 20
    r = backup(run, folder, data)
    assert r.returncode == 0, r.stderr
    assert uploads(server) == 1
    assert len(pbs.parse_fixed(
        server.files[SNAPSHOT]['disk.img.fidx'])[2]) == 20


def test_zeros_and_holes(server, run, folder, image):
    path = folder / 'source'
    with open(path, 'wb') as f:
        f.write(bytes(pbs.CHUNK))
        f.seek(10 * pbs.CHUNK)
        f.write(image(1))
        f.truncate(20 * pbs.CHUNK + 5)
    r = run('backup', f'disk.img:{path}', '--backup-id', 'h1',
            '--backup-time', TIME, '--output-format', 'json')
    assert r.returncode == 0, r.stderr
    result = json.loads(r.stdout)
    assert result['chunks'] == 21
    assert result['chunks-zero'] == 20
    assert result['chunks-uploaded'] == 3, 'zeros, data, short tail'
    r, target = restore(run, folder)
    assert r.returncode == 0, r.stderr
    assert target.read_bytes() == path.read_bytes()
    assert target.stat().st_blocks * 512 < 3 * pbs.CHUNK, 'not sparse'


def test_incremental_sends_only_what_changed(server, run, folder, image):
    data = bytearray(image(8))
    make_previous(server, bytes(data))
    data[3 * pbs.CHUNK] ^= 1
    r = backup(run, folder, bytes(data))
    assert r.returncode == 0, r.stderr
    result = json.loads(r.stdout)
    assert result['chunks-uploaded'] == 1
    assert result['chunks-reused'] == 7
    assert result['previous-time'] == 1600000000


@pytest.mark.parametrize('damage', ['csum', 'manifest', 'index', 'gone'])
def test_an_unusable_base_means_a_full_backup(server, run, folder, image,
                                              damage):
    data = image(4)
    make_previous(server, data)
    if damage == 'csum':
        index = bytearray(server.previous['disk.img.fidx'])
        index[5000 % len(index)] ^= 1
        server.previous['disk.img.fidx'] = bytes(index[:4096]) + \
            bytes([index[4096] ^ 1]) + bytes(index[4097:])
    elif damage == 'manifest':
        server.previous['index.json.blob'] = pbs.blob(b'{')
    elif damage == 'index':
        server.previous['disk.img.fidx'] = b'short'
    else:
        server.refuse['/previous'] = (400, 'no valid previous backup')
    r = backup(run, folder, data)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)['chunks-uploaded'] == 4
    assert b'cannot use' in r.stderr


def test_files_beside_images(server, run, folder, image):
    (folder / 'vm.conf').write_text('cores: 2\n')
    (folder / 'empty.conf').write_text('')
    (folder / 'source').write_bytes(image(1))
    r = run('backup', f'disk.img:{folder}/source',
            f'vm.conf:{folder}/vm.conf', f'empty.conf:{folder}/empty.conf',
            '--backup-id', 'h1', '--backup-time', TIME)
    assert r.returncode == 0, r.stderr
    r, path = restore(run, folder, 'vm.conf')
    assert r.returncode == 0, r.stderr
    assert path.read_text() == 'cores: 2\n'
    r, path = restore(run, folder, 'empty.conf')
    assert r.returncode == 0, r.stderr
    assert path.read_text() == ''
    r, path = restore(run, folder, 'index.json')
    assert json.loads(path.read_text())['backup-id'] == 'h1'


def test_restore_to_standard_output(server, run, folder, image):
    data = image(9, tail=7) + bytes(2 * pbs.CHUNK)
    assert backup(run, folder, data).returncode == 0
    r = run('restore', NAME, 'disk.img', '-')
    assert r.returncode == 0, r.stderr
    assert r.stdout == data


def test_restore_does_not_overwrite(server, run, folder, image):
    data = image(1)
    assert backup(run, folder, data).returncode == 0
    target = folder / 'target'
    target.write_bytes(b'precious' * 1000000)
    r = run('restore', NAME, 'disk.img', target)
    assert r.returncode == 1
    assert b'--overwrite' in r.stderr
    assert target.read_bytes()[:8] == b'precious'
    r = run('restore', NAME, 'disk.img', target, '--overwrite')
    assert r.returncode == 0, r.stderr
    assert target.read_bytes() == data


def test_restore_of_a_group_takes_the_newest_finished(server, run, folder,
                                                      image):
    data = image(1)
    assert backup(run, folder, data).returncode == 0
    done = [{'filename': 'index.json.blob'}]
    row = {'backup-type': 'host', 'backup-id': 'h1'}
    server.lists['snapshots'] = [
        {**row, 'backup-time': TIME - 5, 'files': done},
        {**row, 'backup-time': TIME, 'files': done},
        {**row, 'backup-time': TIME + 5, 'files': []},
        {**row, 'backup-id': 'h2', 'backup-time': TIME + 9, 'files': done}]
    r = run('restore', 'host/h1', 'disk.img', '-')
    assert r.returncode == 0, r.stderr
    assert r.stdout == data


# ---- errors of the server

def test_an_error_in_the_middle_is_shown(server, run, folder, image):
    server.refuse['/fixed_chunk'] = (400, 'chunk 12ab is missing')
    r = backup(run, folder, image(30))
    assert r.returncode == 1
    assert b'the backup failed: chunk 12ab is missing' in r.stderr
    assert SNAPSHOT not in server.files


def test_a_refused_finish_is_a_failure(server, run, folder, image):
    server.refuse['/finish'] = (400, 'not all chunks are there')
    r = backup(run, folder, image(1))
    assert r.returncode == 1
    assert b'not all chunks are there' in r.stderr


def test_a_refused_upgrade(server, run, folder, image):
    server.refuse['/api2/json/backup'] = (400, 'another backup is running')
    r = backup(run, folder, image(1))
    assert r.returncode == 1
    assert b'another backup is running' in r.stderr


def test_wrong_password(server, run):
    r = run('status', env={'PBS_PASSWORD': 'wrong'})
    assert r.returncode == 4
    assert b'cannot log in' in r.stderr


def test_nobody_there(server, run):
    server.close()
    r = run('status', env={'PBS_REPOSITORY': 'u@pbs@127.0.0.1:1:store'})
    assert r.returncode == 3


# ---- lies

def flip(data, at):
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize('lie', ['crc', 'content', 'other', 'short', 'magic'])
def test_a_damaged_chunk_is_noticed(server, run, folder, image, lie):
    data = image(6)
    assert backup(run, folder, data).returncode == 0
    digests = [pbs.sha256(p).hex() for p in pbs.split(data)]
    victim = digests[3]
    server.chunks[victim] = {
        'crc': lambda c: flip(c, 9),
        'content': lambda c: pbs.blob(flip(pbs.split(data)[3], 0)),
        'other': lambda c: server.chunks[digests[0]],
        'short': lambda c: pbs.blob(pbs.split(data)[3][:-1]),
        'magic': lambda c: flip(c, 0),
    }[lie](server.chunks[victim])
    r, path = restore(run, folder)
    assert r.returncode == 1
    assert victim.encode() in r.stderr, r.stderr
    assert not path.exists(), 'a failed restore left its file'


@pytest.mark.parametrize('lie', ['index', 'csum', 'size', 'other snapshot'])
def test_a_wrong_index_or_manifest_is_noticed(server, run, folder, image,
                                              lie):
    data = image(4)
    assert backup(run, folder, data).returncode == 0
    files = server.files[SNAPSHOT]
    manifest = json.loads(pbs.unblob(files['index.json.blob']))
    if lie == 'index':
        files['disk.img.fidx'] = flip(files['disk.img.fidx'], 4100)
    elif lie == 'csum':
        manifest['files'][0]['csum'] = '00' * 32
    elif lie == 'size':
        manifest['files'][0]['size'] -= 1
    else:
        manifest['backup-id'] = 'h2'
    if lie != 'index':
        files['index.json.blob'] = pbs.blob(json.dumps(manifest).encode())
    r, path = restore(run, folder)
    assert r.returncode == 1
    assert b'match' in r.stderr or b'another snapshot' in r.stderr
    assert not path.exists()


def test_a_damaged_file_is_noticed(server, run, folder):
    (folder / 'a.conf').write_text('text')
    assert run('backup', f'a.conf:{folder}/a.conf', '--backup-id', 'h1',
               '--backup-time', TIME).returncode == 0
    server.files[SNAPSHOT]['a.conf.blob'] = pbs.blob(b'other')
    r, path = restore(run, folder, 'a.conf')
    assert r.returncode == 1
    assert b'does not match the manifest' in r.stderr


def test_encrypted_archives_are_refused(server, run, folder, image):
    assert backup(run, folder, image(1)).returncode == 0
    files = server.files[SNAPSHOT]
    manifest = json.loads(pbs.unblob(files['index.json.blob']))
    manifest['files'][0]['crypt-mode'] = 'encrypt'
    files['index.json.blob'] = pbs.blob(json.dumps(manifest).encode())
    r, _ = restore(run, folder)
    assert r.returncode == 1
    assert b'encrypted' in r.stderr


# ---- trust

def test_a_wrong_fingerprint_is_refused_before_the_password(server, run):
    r = run('status', env={'PBS_FINGERPRINT': ':'.join(['00'] * 32)})
    assert r.returncode == 1
    assert server.fingerprint.encode() in r.stderr
    assert not server.requests


def test_an_unknown_certificate_needs_somebody_to_ask(server, run):
    r = run('status', env={'PBS_FINGERPRINT': ''})
    assert r.returncode == 1
    assert b'PBS_FINGERPRINT=' + server.fingerprint.encode() in r.stderr
    assert not server.requests


def answer_on_terminal(run, answer):
    """Runs 'status' on a terminal and types the answer: what it showed, and
    the finished process."""
    with Terminal(answer) as terminal:
        r = run('status', '--output-format', 'json',
                env={'PBS_FINGERPRINT': ''}, stdin=terminal.end,
                stderr=terminal.end, stdout=subprocess.PIPE,
                capture_output=False)
    return terminal.shown, r


def test_a_yes_is_remembered(server, run, folder):
    server.lists['status'] = {'total': 1, 'used': 1, 'avail': 0}
    known = folder / '.config' / 'holdfast' / 'fingerprints'
    shown, r = answer_on_terminal(run, b'n\n')
    assert r.returncode == 1
    assert server.fingerprint.encode() in shown and b'?' in shown
    assert not server.requests and not known.exists()
    shown, r = answer_on_terminal(run, b'y\n')
    assert r.returncode == 0
    assert server.fingerprint in known.read_text()
    # Nobody is asked again, with a terminal or without.
    shown, r = answer_on_terminal(run, b'n\n')
    assert r.returncode == 0 and b'?' not in shown
    r = run('status', env={'PBS_FINGERPRINT': ''})
    assert r.returncode == 0, r.stderr


def test_a_changed_certificate_is_refused(server, run, folder):
    known = folder / '.config' / 'holdfast' / 'fingerprints'
    known.parent.mkdir(parents=True)
    known.write_text(f'127.0.0.1:{server.port} {":".join(["11"] * 32)}\n')
    r = run('status', env={'PBS_FINGERPRINT': ''})
    assert r.returncode == 1
    assert b'has changed' in r.stderr


# ---- what is shown meanwhile

def slow(handler):
    """Takes longer than a bar stands still at most."""
    def call(*args):
        time.sleep(0.2)
        return handler(*args)
    return call


@pytest.fixture
def sparse(folder):
    """An image of 40 chunks that are different and take little to send."""
    path = folder / 'sparse'
    with open(path, 'wb') as f:
        for i in range(40):
            f.seek(i * pbs.CHUNK)
            f.write(b'%d' % i)
        f.truncate(40 * pbs.CHUNK)
    return path


@pytest.mark.parametrize('more, bars', [((), True), (('--no-progress',),
                                                     False)])
def test_bars_on_a_terminal(server, run, folder, sparse, more, bars):
    if bars:
        server.on_fixed_chunk = slow(server.on_fixed_chunk)
        server.on_chunk = slow(server.on_chunk)
    for args in (('backup', f'disk.img:{sparse}', '--backup-id', 'h1',
                  '--backup-time', TIME),
                 ('restore', NAME, 'disk.img', folder / 'target')):
        with Terminal() as terminal:
            r = run(*args, *more, stderr=terminal.end, capture_output=False,
                    stdout=subprocess.PIPE)
        assert r.returncode == 0, terminal.shown
        assert b'\r' not in r.stdout
        if bars:
            terminal.bar_moved_and_ended('disk.img')
        else:
            assert b'[' not in terminal.shown
    assert (folder / 'target').stat().st_size == sparse.stat().st_size


def test_no_bars_without_a_terminal(server, run, folder, sparse):
    for args in (('backup', f'disk.img:{sparse}', '--backup-id', 'h1',
                  '--backup-time', TIME),
                 ('restore', NAME, 'disk.img', folder / 'target')):
        r = run(*args)
        assert r.returncode == 0, r.stderr
        assert b'\r' not in r.stdout + r.stderr
        assert b'%' not in r.stdout + r.stderr


# ---- identity

def test_login_keeps_a_ticket(server, run, folder):
    server.lists['status'] = {'total': 1, 'used': 1, 'avail': 0}
    runtime = folder / 'runtime'
    runtime.mkdir(mode=0o700)
    env = {'XDG_RUNTIME_DIR': str(runtime)}
    assert run('login', env=env).returncode == 0
    env['PBS_PASSWORD'] = ''
    r = run('status', env=env)
    assert r.returncode == 0, r.stderr
    assert server.headers[-1]['cookie'] == 'PBSAuthCookie=PBS%3Aticket'
    assert run('logout', env=env).returncode == 0
    assert run('status', env=env).returncode == 4


def test_password_of_a_file(server, run, folder):
    server.lists['status'] = {'total': 1, 'used': 1, 'avail': 0}
    (folder / 'password').write_text(server.password + '\n')
    r = run('status', env={'PBS_PASSWORD': '',
                           'PBS_PASSWORD_FILE': str(folder / 'password')})
    assert r.returncode == 0, r.stderr
    r = run('status', '--repository', server.repository(),
            env={'PBS_REPOSITORY': ''})
    assert r.returncode == 0, r.stderr


def test_tokens_need_no_login(server, run):
    server.lists['status'] = {'total': 1, 'used': 1, 'avail': 0}
    server.user = 'u@pbs!tok'
    r = run('status')
    assert r.returncode == 0, r.stderr
    assert server.headers[0]['authorization'] == \
        'PBSAPIToken=u@pbs!tok:secret'
    assert ('POST', '/api2/json/access/ticket') not in server.requests


# ---- listings

def test_listings_are_tables_or_json(server, run):
    server.lists['groups'] = [
        {'backup-type': 'vm', 'backup-id': '9', 'last-backup': TIME,
         'backup-count': 2, 'files': ['a', 'b'], 'owner': 'u@pbs'},
        {'backup-type': 'host', 'backup-id': 'x\x1b[2J', 'last-backup': 1,
         'backup-count': 1, 'files': []},
        {'backup-type': 'ct', 'backup-id': '10', 'last-backup': TIME,
         'backup-count': 1, 'files': [], 'comment': 'evil\x1b[2J'}]
    r = run('list', text=True)
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert lines[0].split()[0] == 'group'
    assert [line.split()[0] for line in lines[1:]] == ['ct/10', '-', 'vm/9']
    assert '2023-11-14 22:13:20' in r.stdout
    assert '\x1b' not in r.stdout
    rows = json.loads(run('list', '--output-format', 'json').stdout)
    assert rows[-1]['backup-id'] == '9' and 'group' not in rows[-1]


def test_output_formats(server, run):
    server.lists['status'] = {'total': 3, 'used': 1, 'avail': 2}
    out = {f: run('status', '--output-format', f, text=True).stdout
           for f in ('text', 'json', 'json-pretty')}
    assert json.loads(out['json']) == json.loads(out['json-pretty']) == \
        server.lists['status']
    assert out['json'].count('\n') == 1 < out['json-pretty'].count('\n')
    assert 'total' in out['text'] and '{' not in out['text']
    assert run('status', text=True).stdout == out['text']
    r = run('status', '--output-format', 'xml')
    assert r.returncode != 0 and b'json-pretty' in r.stderr


def test_what_is_not_a_list_is_an_error(server, run):
    server.lists['groups'] = {'no': 'list'}
    r = run('list')
    assert r.returncode == 1
    assert b'not a list' in r.stderr


def test_version(server, run):
    server.lists['version'] = {'version': '3.2', 'release': '4'}
    r = run('version', '--output-format', 'json')
    assert json.loads(r.stdout)['server'] == '3.2.4'
    r = run('version', env={'PBS_REPOSITORY': ''})
    assert r.returncode == 0 and b'client' in r.stdout


# ---- what is refused before anybody is asked

@pytest.mark.parametrize('args, text', [
    (['root.pxar:/etc'], b'not supported yet'),
    (['disk.img:/etc'], b'is a folder'),
    (['disk.img:/dev/null'], b'neither a file nor a block device'),
    (['disk.img:/nonexistent'], b'No such file'),
    (['a.conf:/etc/passwd', 'a.conf:/etc/group'], b'given twice'),
    (['a.conf:/etc/passwd', '--keyfile', 'x'], b'encryption'),
    (['a.conf:/etc/passwd', '--crypt-mode', 'encrypt'], b'encryption'),
    (['a.conf:/etc/passwd', '--backup-type', 'xx'], b''),
])
def test_refused_at_once(server, run, args, text):
    r = run('backup', *args)
    assert r.returncode == 1
    assert text in r.stderr
    assert not server.requests


@pytest.mark.parametrize('archive', ['root.pxar', 'root.pxar.didx'])
def test_folders_are_not_restored(server, run, folder, archive):
    r = run('restore', NAME, archive, folder / 'target')
    assert r.returncode == 1
    assert b'folders' in r.stderr and b'not supported yet' in r.stderr
    assert not server.requests and not (folder / 'target').exists()
