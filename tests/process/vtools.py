"""What the tests of the validator share: an instance without a server, and
backups made by a worker of our own."""

import contextlib
import json
import os
import shutil

import pytest

import faults
from conftest import GROUPS, TIMES, TestInstance, make_folder, show_logs
from instance import DAEMON_USERS, wait_for
from pbs import CHUNK, blob, fixed_csum, parse_fixed, sha256
from vworker import Failed, Worker


def make_validator(validator_options=None, store_options=None,
                   datastores=('store',), faulty=False):
    """An instance that has no server: the tests are its workers."""
    inst = TestInstance(make_folder())
    if faulty:
        inst.faults = faults.Faults(inst.dir)
        inst.environment = inst.faults.environment
    inst.prepare(datastores, {}, validator_options or {}, store_options or {})
    inst.write_confs()
    for name in datastores:
        inst.admin('datastore', 'create', name, inst.stores / name)
    inst.write_store_options()
    inst.start_validator()
    return inst


def make_small_store(inst, name, digests):
    path = inst.stores / name
    for p in (path, path / '.chunks',
              *{inst.store(name).chunk_path(d).parent for d in digests}):
        p.mkdir(mode=0o750 if '.chunks' in p.parts else 0o755)
    (path / '.lock').touch(mode=0o644)
    if os.getuid() == 0:
        for p in path, *path.rglob('*'):
            shutil.chown(p, DAEMON_USERS[2], DAEMON_USERS[2])
    (inst.etc / 'datastores.d' / f'{name}.conf').write_text(
        f'datastore "{name}" {{\n\tpath = "{path}"\n}}\n')


def prepare_small_validator(validator_options=None, digests=None,
                            datastores=('store',)):
    """The same, not started, with datastores that can hold only these chunks
    (None: those of chunk(0) to chunk(999)): without the other folders a
    garbage collection takes no time."""
    inst = TestInstance(make_folder())
    inst.prepare(datastores, {}, validator_options or {}, {})
    inst.write_confs()
    for name in datastores:
        make_small_store(inst, name,
                         digests or [chunk(n)[1] for n in range(1000)])
    return inst


def make_small_validator(validator_options=None, digests=None):
    inst = prepare_small_validator(validator_options, digests)
    inst.start_validator()
    return inst


@contextlib.contextmanager
def lent(inst, request):
    """A validator for the tests of a module; its logs are shown if one of
    them fails."""
    failed = request.session.testsfailed
    yield inst
    if request.session.testsfailed > failed:
        show_logs(inst)
    inst.stop()
    shutil.rmtree(inst.dir, ignore_errors=True)


@pytest.fixture(scope='module')
def val(request):
    with lent(make_validator(), request) as inst:
        yield inst


@pytest.fixture
def fresh(request):
    """fresh(options, store options): a validator of the test's own."""
    made = []

    def make(*args, **more):
        made.append(make_validator(*args, **more))
        return made[-1]
    failed = request.session.testsfailed
    yield make
    for inst in made:
        if request.session.testsfailed > failed:
            show_logs(inst)
        inst.stop()
        shutil.rmtree(inst.dir, ignore_errors=True)


def new_group():
    return 'host', f'v{next(GROUPS)}', next(TIMES)


def later(snapshot):
    return snapshot[0], snapshot[1], next(TIMES)


def chunk(n, size=CHUNK):
    raw = n.to_bytes(8, 'little') * (size // 8)
    return raw, sha256(raw)


def manifest(snapshot, files=(), **more):
    m = {'backup-type': snapshot[0], 'backup-id': snapshot[1],
         'backup-time': snapshot[2], 'files': list(files), 'signature': None,
         'unprotected': {}, **more}
    return blob(json.dumps(m).encode())


def upload_image(w, name, chunks, writer=1):
    """An image of whole chunks, given as (raw, digest), each uploaded if
    the session does not know it yet."""
    w.create(name, writer, size=len(chunks) * CHUNK)
    for raw, digest in chunks:
        if digest not in w.known:
            w.deposit(blob(raw), digest, len(raw), writer)
    w.append(writer, 0, [(i * CHUNK, *w.known[d], d)
                         for i, (_, d) in enumerate(chunks)])
    w.close_index(writer, len(chunks), len(chunks) * CHUNK,
                  fixed_csum([d for _, d in chunks]))


def register(w, name):
    """The chunks of an index of the base become known."""
    msg, data = w.open_file(name)
    _, _, digests = parse_fixed(data)
    for i, d in enumerate(digests):
        w.known[d] = msg['file'], i
    return digests


def backup(inst, snapshot, numbers, **more):
    """A whole backup of an image with these chunks."""
    w = Worker(inst).open(snapshot, **more)
    upload_image(w, 'a.img.fidx', [chunk(n) for n in numbers])
    w.put_blob('index.json.blob', manifest(snapshot))
    w.finish()
    w.close()
    return snapshot


def failure(what, *args, **more):
    with pytest.raises(Failed) as e:
        what(*args, **more)
    return e.value


def wait_gone(inst, w):
    """Nothing is left of the session in the store."""
    path = inst.store().path / '.holdfast/sessions' / f'{w.session:016x}'
    assert wait_for(lambda: not path.exists())


def task_log(w, upid):
    msg = w.call('TASK_LOG', name=upid, store='')
    data, lines = msg['data'], []
    while data:
        length = int.from_bytes(data[1:5], 'little')
        lines.append(data[5 + 12:5 + length].decode())
        data = data[5 + length:]
    return lines
