"""Many clients at a time, who come and go in every way."""

import itertools
import threading

from pbs import PbsError

CLIENTS = 8
TIMES = itertools.count(1600000000)


def in_threads(count, work):
    """Runs work(number) in as many threads; an error of one is ours."""
    errors = []

    def run(number):
        try:
            work(number)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def say_nothing(conn, number):
    pass


def ask(conn, number):
    conn.get('admin/datastore/store/status')


def be_refused(conn, number):
    conn.headers = {}
    try:
        ask(conn, number)
    except PbsError as error:
        assert error.status == 401, error
        return
    raise AssertionError('anybody may ask')


def open_session(conn, number):
    """Left open: the end of the connection ends it."""
    snap = 'host', f'crowd{number % (4 * CLIENTS)}', next(TIMES)
    try:
        conn.backup('store', snap).create_dynamic('a.pxar.didx')
    except PbsError as error:
        # The group's last session may not quite be over.
        assert 'unable to acquire lock' in error.text, error


WAYS = say_nothing, ask, be_refused, open_session


def come_and_go(connect, headers, count):
    """As many connections; connect() makes one, headers say who comes."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work(_):
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            conn = connect()
            conn.headers = headers
            WAYS[number % len(WAYS)](conn, number)
            conn.close()
    in_threads(CLIENTS, work)
