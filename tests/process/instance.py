"""A private Holdfast instance in one folder: the code behind tests/instance,
and what the process tests start.

Everything lies under one folder: configuration, state, sockets, logs and the
datastores.  As root the processes run under their three system users, else
all run as the user who started them.
"""

import argparse
import contextlib
import grp
import hashlib
import json
import os
import pathlib
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = STOP_SECONDS = 60
USER, USER2, TOKEN = 'user@pbs', 'user2@pbs', 'backup'
DAEMON_USERS = ('holdfast', 'holdfast-auth', 'holdfast-validator')
PROGRAMS = ('holdfast-server', 'holdfast-worker', 'holdfast-auth',
            'holdfast-hasher', 'holdfast-validator', 'holdfast-checker',
            'holdfast-job', 'holdfast-admin')


class InstanceError(Exception):
    """Something that the person who runs us should read."""


def find_build():
    """The build folder: HOLDFAST_BUILD, build/ or a sibling of the source."""
    given = os.environ.get('HOLDFAST_BUILD')
    places = [pathlib.Path(given)] if given else [
        TOP / 'build', TOP.parent / 'build', TOP]
    for place in places:
        if (place / 'holdfast').is_file():
            return place.resolve()
    raise InstanceError('no programs found in ' +
                        ', '.join(str(p) for p in places) +
                        ': build first, or set HOLDFAST_BUILD')


def wait_for(what, seconds=START_SECONDS, step=0.05):
    """Polls what() until it is true, often at first, then at each step;
    returns its value, or None."""
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            return None
        time.sleep(min(pause, step))
        pause *= 2


def look_at(pid):
    """(name, fields behind it) of /proc/PID/stat; None if the process is gone
    or a zombie.  The first of several threads is one while the others still
    have its files."""
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    name, _, rest = stat.partition('(')[2].rpartition(')')
    fields = rest.split()
    return None if fields[0] in 'ZX' and int(fields[17]) < 2 \
        else (name, fields)


def start_time(pid):
    """When a process started, which tells it from a later one of that pid;
    None if it is gone or a zombie."""
    seen = look_at(pid)
    return int(seen[1][19]) if seen else None


def children(parent, program):
    """The pids of a process's running children that execute this program."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        seen = look_at(pid)
        # In /proc a name has at most 15 characters.
        if seen and seen[0] == program[:15] and int(seen[1][1]) == parent:
            found.append(int(pid))
    return sorted(found)


def at_unix(path, work):
    """A socket for which work(socket, address) was done.  Through /proc, since
    an address is at most 107 bytes."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        work(s, f'/proc/self/fd/{folder}/{path.name}')
    except OSError:
        s.close()
        raise
    finally:
        os.close(folder)
    return s


def connect_unix(path):
    return at_unix(path, socket.socket.connect)


def listen_unix(path):
    s = at_unix(path, socket.socket.bind)
    s.listen()
    return s


def reserve_port():
    """A socket with a free port, which nobody else gets as long as it is
    open; a server, which sets SO_REUSEADDR, may listen there all the same."""
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return s


def reachable_by_others(folder):
    """Whether any user may execute a file in this folder."""
    return all(p.stat().st_mode & 0o001 for p in [folder, *folder.parents])


class Instance:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder).resolve()
        self.etc = self.dir / 'etc'
        self.run_dir = self.dir / 'run'
        self.log = self.dir / 'log'
        self.stores = self.dir / 'stores'
        self.state_file = self.dir / 'instance.json'
        self.state = {}
        self.environment = {}  # of the validator, beside our own
        self.reserved = None  # keeps others from our port
        try:
            self.state = json.loads(self.state_file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            pass
        except ValueError as why:
            raise InstanceError(f'{self.state_file} is damaged: {why}') \
                from why

    # ---- state

    def save(self):
        fresh = self.state_file.with_suffix('.new')
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                  'w') as f:
            json.dump(self.state, f, indent=2)
        fresh.rename(self.state_file)

    def need(self):
        if not self.state:
            raise InstanceError(f'no instance in {self.dir}')
        return self

    @property
    def programs(self):
        return pathlib.Path(self.state['programs'])

    @property
    def port(self):
        return self.state['port']

    @property
    def fingerprint(self):
        return self.state['fingerprint']

    @property
    def store_path(self):
        return self.stores / self.state['datastores'][0]

    def env(self, datastore=None):
        """What a client needs, and what tests want to know."""
        s = self.state
        store = datastore or s['datastores'][0]
        return {
            'PBS_REPOSITORY': f'{USER}@127.0.0.1:{s["port"]}:{store}',
            'PBS_PASSWORD': s['password'],
            'PBS_FINGERPRINT': s['fingerprint'],
            'HOLDFAST_STORE_PATH': str(self.stores / store),
            'HOLDFAST_RUN_DIR': str(self.run_dir),
            'PBS_USER2': USER2,
            'PBS_PASSWORD2': s['password2'],
            'PBS_TOKEN': f'{USER}!{TOKEN}',
            'PBS_TOKEN_SECRET': s['token_secret'],
        }

    # ---- configuration

    def write_conf(self, name, options):
        lines = [f'{k} = {v}\n' for k, v in options.items()]
        (self.etc / name).write_text(''.join(lines))

    def write_confs(self):
        s = self.state
        user = {}
        if os.getuid() != 0:
            me = pwd.getpwuid(os.getuid()).pw_name
            group = grp.getgrgid(os.getgid()).gr_name
            user = {'user': f'"{me}"', 'admin-group': f'"{group}"'}
        places = {'run-dir': f'"{self.run_dir}"',
                  'state-dir': f'"{self.dir / "state"}"',
                  'libexec-dir': f'"{self.programs}"'}
        auth = {'auth-user': user['user']} if user else {}
        self.write_conf('server.conf', {
            'listen': f'{{ "127.0.0.1:{s["port"]}" }}',
            **places, **user, **auth, **s['server_options']})
        self.write_conf('validator.conf', {
            'log-dir': f'"{self.log}"',
            **places, **user, **s['validator_options']})

    def change_options(self, validator_options, store_options):
        """Takes effect when the validator starts the next time.  An empty
        value removes an option."""
        for kind, options in (('validator_options', validator_options),
                              ('store_options', store_options)):
            merged = {**self.state[kind], **options}
            self.state[kind] = {k: v for k, v in merged.items() if v != ''}
        self.write_confs()
        self.write_store_options()
        self.save()

    def write_store_options(self):
        """Adds the store options to what holdfast-admin wrote."""
        for name in self.state['datastores']:
            path = self.etc / 'datastores.d' / f'{name}.conf'
            written = self.state['store_confs'].setdefault(
                name, path.read_text())
            extra = ''.join(f'\t{k} = {v}\n'
                            for k, v in self.state['store_options'].items())
            path.write_text(written.rstrip().rstrip('}') + extra + '}\n')

    # ---- processes

    def is_running(self, name):
        p = self.state.get('processes', {}).get(name)
        return bool(p and p['start']) and start_time(p['pid']) == p['start']

    def pid(self, name):
        return self.state['processes'][name]['pid'] \
            if self.is_running(name) else None

    def log_tail(self, name, lines=30):
        try:
            text = (self.log / f'{name}.log').read_text(errors='replace')
        except OSError:
            return ''
        return '\n'.join(text.splitlines()[-lines:])

    def launch(self, name, ready):
        """Starts a daemon and waits until ready() says that it serves."""
        program = self.programs / f'holdfast-{name}'
        with open(self.log / f'{name}.log', 'ab') as log:
            child = subprocess.Popen(
                [program, '-f', '-c', self.etc / f'{name}.conf'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ,
                     **(self.environment if name == 'validator' else {})},
                cwd='/', start_new_session=True)
        self.state.setdefault('processes', {})[name] = {
            'pid': child.pid, 'start': start_time(child.pid)}
        self.save()
        if not wait_for(lambda: child.poll() is not None or ready()):
            raise InstanceError(f'holdfast-{name} does not answer; its log:\n'
                                + self.log_tail(name))
        if child.poll() is not None:
            raise InstanceError(
                f'holdfast-{name} ended at once (status {child.returncode}); '
                'its log:\n' + self.log_tail(name))

    def kill(self, name, signo):
        pid = self.pid(name)
        if pid:
            with contextlib.suppress(ProcessLookupError):  # it just ended
                os.kill(pid, signo)

    def reap(self, name):
        """Collects the process if it is our own child."""
        pid = self.state.get('processes', {}).get(name, {}).get('pid')
        try:
            os.waitpid(pid, os.WNOHANG)
        except (ChildProcessError, TypeError):
            pass

    def end(self, name, signo=signal.SIGTERM):
        """Ends a daemon, and whatever is left of its process group."""
        p = self.state.get('processes', {}).get(name)
        if not p:
            return
        self.kill(name, signo)

        def gone():
            self.reap(name)
            return not self.is_running(name)
        if not wait_for(gone, STOP_SECONDS):
            self.kill(name, signal.SIGKILL)
            wait_for(gone, STOP_SECONDS)
        # Unless its pid is another one's by now.
        if start_time(p['pid']) in (None, p['start']):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(p['pid'], signal.SIGKILL)

    def answers(self, path):
        try:
            connect_unix(path).close()
            return True
        except OSError:
            return False

    def validator_answers(self):
        return [self.answers(self.run_dir / folder / 'validator.sock')
                for folder in ('worker', 'admin')]

    def start_validator(self):
        # A child that a killed one was just forking has its sockets until
        # exec: what it accepts is nobody's.
        if not wait_for(lambda: not any(self.validator_answers()),
                        STOP_SECONDS):
            raise InstanceError('another holdfast-validator answers')
        self.launch('validator', lambda: all(self.validator_answers()))

    def start_server(self):
        def ready():
            try:
                pem = ssl.get_server_certificate(('127.0.0.1', self.port),
                                                 timeout=10)
            except OSError:
                return False
            der = ssl.PEM_cert_to_DER_cert(pem)
            self.state['fingerprint'] = ':'.join(
                f'{b:02x}' for b in hashlib.sha256(der).digest())
            return self.answers(self.run_dir / 'admin' / 'auth.sock')
        self.launch('server', ready)
        self.save()

    def kill_validator(self):
        """SIGKILL, as a crash would; its checkers go by themselves."""
        self.kill('validator', signal.SIGKILL)

        def gone():
            self.reap('validator')
            return not self.is_running('validator') and \
                not any(self.validator_answers())
        wait_for(gone, STOP_SECONDS)

    def restart_validator(self):
        self.end('validator')
        self.start_validator()

    def admin(self, *args, data=None, check=True):
        """Runs holdfast-admin on this instance; returns its output."""
        r = subprocess.run(
            [self.programs / 'holdfast-admin', '-c', self.etc,
             '--run-dir', self.run_dir, *args],
            input=data, capture_output=True, text=True, timeout=600)
        if check and r.returncode != 0:
            raise InstanceError('holdfast-admin ' +
                                ' '.join(map(str, args)) + ': ' +
                                (r.stderr.strip() or f'exit {r.returncode}'))
        return r.stdout if check else r

    def admin_json(self, *args):
        return json.loads(self.admin(*args, '--output-format', 'json'))

    # ---- the whole

    def prepare(self, datastores, server_options, validator_options,
                store_options):
        if self.state:
            raise InstanceError(f'{self.dir} already holds an instance, '
                                "which 'remove' would remove")
        build = find_build()
        as_root = os.getuid() == 0
        mode = 0o755 if as_root else 0o700
        self.dir.mkdir(parents=True, exist_ok=True)
        for folder in (self.dir, self.etc, self.etc / 'datastores.d',
                       self.run_dir, self.dir / 'state', self.log,
                       self.stores):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        programs = build
        if as_root:
            self.check_root(build)
            if not reachable_by_others(build):
                programs = self.copy_programs(build)
        self.state = {
            'programs': str(programs),
            'port': 0,
            'datastores': list(datastores),
            'server_options': server_options,
            'validator_options': validator_options,
            'store_options': {'min-free': '64M', **store_options},
            'password': secrets.token_urlsafe(12),
            'password2': secrets.token_urlsafe(12),
            'store_confs': {},
            'processes': {},
        }

    def check_root(self, build):
        for name in DAEMON_USERS:
            try:
                pwd.getpwnam(name)
            except KeyError:
                raise InstanceError(f'system user {name} is missing: '
                                    './check and ./quickstart make it') \
                    from None
        if not reachable_by_others(self.dir):
            raise InstanceError(
                f'{self.dir} cannot be reached by the users '
                'that the programs run as: choose a folder below /tmp or /var')

    def copy_programs(self, build):
        folder = self.dir / 'programs'
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for name in PROGRAMS:
            if (build / name).is_file():
                shutil.copy2(build / name, folder / name)
        return folder

    def start(self, datastores=('store',), server_options=None,
              validator_options=None, store_options=None):
        self.prepare(datastores, server_options or {},
                     validator_options or {}, store_options or {})
        try:
            self.bring_up()
        except BaseException:
            self.stop()
            raise

    def bring_up(self):
        self.write_confs()
        for name in self.state['datastores']:
            self.admin('datastore', 'create', name, self.stores / name)
        self.write_store_options()
        self.start_validator()
        self.start_server_on_free_port()
        self.make_accounts()
        self.save()

    def start_server_on_free_port(self):
        """Also between two servers the port is ours."""
        self.reserved = reserve_port()
        self.state['port'] = self.reserved.getsockname()[1]
        self.write_confs()
        self.start_server()

    def make_accounts(self):
        s = self.state
        self.admin('user', 'create', USER, data=s['password'] + '\n')
        self.admin('user', 'create', USER2, data=s['password2'] + '\n')
        token = self.admin_json('token', 'create', USER, TOKEN)
        s['token_secret'] = token['value']
        for auth_id, role in ((USER, 'DatastoreAdmin'),
                              (USER2, 'DatastoreBackup'),
                              (f'{USER}!{TOKEN}', 'DatastoreBackup')):
            for name in s['datastores']:
                self.admin('acl', 'update', f'/datastore/{name}', role,
                           '--auth-id', auth_id)

    def stop(self):
        self.end('server')
        self.end('validator')
        if self.reserved:
            self.reserved.close()

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def status(self):
        lines, all_up = [], True
        for name in ('server', 'validator'):
            up = self.is_running(name)
            all_up = all_up and up
            lines.append(f'holdfast-{name}: ' +
                         (f'running, pid {self.pid(name)}' if up
                          else 'not running'))
        lines.append(f'https://127.0.0.1:{self.port}, datastores ' +
                     ', '.join(self.state['datastores']))
        return lines, all_up


# ---- command line

def option(text):
    key, sep, value = text.partition('=')
    if not sep:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key.strip(), value.strip()


def print_env(inst):
    for key, value in inst.env().items():
        print(f'export {key}={shlex.quote(value)}')


def parse(argv):
    p = argparse.ArgumentParser(
        prog='instance', description='Starts and stops a private Holdfast '
        'instance in a folder, on a free port of the loopback interface.',
        epilog='Try it: eval "$(tests/instance start /tmp/hf)"; '
        'build/holdfast list; tests/instance stop /tmp/hf')
    p.add_argument('command', choices=(
        'start', 'env', 'status', 'restart-validator', 'kill-validator',
        'start-validator', 'stop', 'remove'))
    p.add_argument('dir', metavar='DIR')
    p.add_argument('--datastore', action='append', metavar='NAME',
                   help='datastores to make (default: store)')
    for kind in ('server', 'validator', 'store'):
        p.add_argument(f'--{kind}-option', action='append', type=option,
                       default=[], metavar='KEY=VALUE',
                       help=f'a line for the configuration of the {kind}')
    return p.parse_args(argv)


def main(argv):
    args = parse(argv)
    inst = Instance(args.dir)
    if args.command == 'start':
        inst.start(args.datastore or ('store',), dict(args.server_option),
                   dict(args.validator_option), dict(args.store_option))
        print_env(inst)
        return 0
    inst.need()
    if args.command == 'env':
        print_env(inst)
    elif args.command == 'status':
        lines, all_up = inst.status()
        print('\n'.join(lines))
        return 0 if all_up else 1
    elif args.command == 'kill-validator':
        inst.kill_validator()
    elif args.command in ('start-validator', 'restart-validator'):
        inst.change_options(dict(args.validator_option),
                            dict(args.store_option))
        if args.command == 'restart-validator':
            inst.restart_validator()
        elif not inst.is_running('validator'):
            inst.start_validator()
    elif args.command == 'stop':
        inst.stop()
    else:
        inst.remove()
    return 0


def run(argv):
    try:
        return main(argv)
    except (InstanceError, OSError) as error:
        print(f'instance: {error}', file=sys.stderr)
        return 1
