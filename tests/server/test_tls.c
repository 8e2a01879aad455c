/* TLS over a socket: handshakes with a key elsewhere, reading, writing. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/mem.h"
#include "server/tls.h"
#include "tls_peer.h"

TestSuite(tls, .timeout = 60);

struct side {
	struct event_base *base;
	struct tls_test test;
	struct tls_peer *peer;
	struct tls_conn *conn;
	int ready;
	int closed;
	struct err why;
	int echo;
	size_t received;
	size_t to_send; /* from drained() */
	size_t most;    /* backlog seen */
};

static void
on_ready(void *arg)
{
	((struct side *)arg)->ready = 1;
}

static void
on_data(void *arg, const uint8_t *p, size_t len)
{
	struct side *s = arg;

	s->received += len;
	if (s->echo)
		tls_conn_write(s->conn, p, len);
}

static void
side_fill(struct side *s)
{
	static const uint8_t zeros[32768];
	size_t n;

	while (s->to_send > 0 && !tls_conn_is_full(s->conn)) {
		n = s->to_send < sizeof(zeros) ? s->to_send : sizeof(zeros);
		tls_conn_write(s->conn, zeros, n);
		s->to_send -= n;
		if (tls_conn_backlog(s->conn) > s->most)
			s->most = tls_conn_backlog(s->conn);
	}
}

static void
on_drained(void *arg)
{
	side_fill(arg);
}

static void
on_closed(void *arg, const struct err *why)
{
	struct side *s = arg;

	s->closed++;
	if (why != NULL)
		s->why = *why;
	tls_conn_free(s->conn);
	s->conn = NULL;
}

static const struct tls_events events = {
    .ready = on_ready,
    .data = on_data,
    .drained = on_drained,
    .closed = on_closed,
};

static void
side_start(struct side *s, const char *type, int version, unsigned int ms)
{
	struct err e = {0};
	int fd;

	signal(SIGPIPE, SIG_IGN);
	s->base = event_base_new();
	tls_test_init(&s->test, type);
	s->peer = tls_peer_new(s->base, version, &fd);
	s->conn = tls_conn_new(s->base, s->test.ctx, fd, ms, &events, s, &e);
	cr_assert_not_null(s->conn, "%s", e.msg);
}

static void
side_init(struct side *s, const char *type, int version, unsigned int ms)
{
	memset(s, 0, sizeof(*s));
	side_start(s, type, version, ms);
}

static void
side_fini(struct side *s)
{
	tls_conn_free(s->conn);
	tls_peer_free(s->peer);
	tls_test_fini(&s->test);
	event_base_free(s->base);
}

struct key_case {
	char type[8];
	int version;
	uint16_t scheme;
};

ParameterizedTestParameters(tls, keys)
{
	static struct key_case rows[] = {
	    {"EC", 13, 0x0403},
	    {"EC", 12, 0x0403},
	    {"RSA", 13, 0x0804},
	    {"RSA", 12, 0x0804},
	    {"ED25519", 13, 0x0807},
	    {"ED25519", 12, 0x0807},
	};

	return cr_make_param_array(struct key_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct key_case *row, tls, keys)
{
	struct side s;

	side_init(&s, row->type, row->version, 20000);
	s.echo = 1;
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_expect_eq(s.test.signatures, 1);
	cr_expect_eq(s.test.scheme, row->scheme);
	tls_peer_send(s.peer, "hello", 5);
	cr_expect(tls_peer_wait(s.peer, "hello"));
	cr_expect(s.ready);
	cr_expect_not(tls_conn_is_plain(s.conn));
	side_fini(&s);
}

Test(tls, warm_up_needs_no_signature)
{
	struct tls_test t = {0};
	struct err e = {0};

	tls_test_init(&t, "EC");
	cr_expect_eq(tls_ctx_warm_up(&e), 0, "%s", e.msg);
	cr_expect_eq(t.signatures, 0);
	tls_test_fini(&t);
}

Test(tls, clients_without_the_certificate_are_refused)
{
	struct side s;

	memset(&s, 0, sizeof(s));
	s.test.client_ca = 1;
	side_start(&s, "EC", 13, 20000);
	tls_peer_handshake(s.peer); /* the client learns of it later */
	cr_assert(tls_peer_wait_flag(s.peer, &s.closed));
	cr_expect_eq(s.why.code, ERR_CRYPTO);
	cr_expect_not(s.ready);
	side_fini(&s);
}

Test(tls, clients_with_the_certificate_are_served)
{
	struct side s;

	memset(&s, 0, sizeof(s));
	s.test.client_ca = 1;
	side_start(&s, "EC", 13, 20000);
	tls_peer_use_cert(s.peer);
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_expect(tls_peer_wait_flag(s.peer, &s.ready));
	side_fini(&s);
}

Test(tls, refused_signature_ends_the_connection)
{
	struct side s;

	side_init(&s, "EC", 13, 20000);
	s.test.refuse = 1;
	cr_expect_eq(tls_peer_handshake(s.peer), -1);
	cr_assert(tls_peer_wait_flag(s.peer, &s.closed));
	cr_expect_eq(s.why.code, ERR_PERM);
	cr_expect_not(s.ready);
	side_fini(&s);
}

Test(tls, much_data_both_ways)
{
	struct side s;
	size_t len = 3 << 20;
	char *data = malloc(len + 1);

	memset(data, 'x', len);
	data[len - 1] = '!';
	side_init(&s, "EC", 13, 20000);
	s.echo = 1;
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	/* Sending and receiving in turns, or both sides would wait. */
	for (size_t off = 0; off < len; off += 64 << 10) {
		tls_peer_send(s.peer, data + off, 64 << 10);
		tls_peer_wait(s.peer, "");
	}
	cr_expect(tls_peer_wait(s.peer, "!"));
	cr_expect_eq(tls_peer_len(s.peer), len);
	side_fini(&s);
	free(data);
}

Test(tls, a_slow_reader_does_not_fill_the_memory)
{
	struct side s;
	size_t len = 4 << 20;

	side_init(&s, "EC", 13, 20000);
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_assert(tls_peer_wait_flag(s.peer, &s.ready));
	s.to_send = len;
	side_fill(&s);
	cr_expect_gt(s.to_send, 0, "not all of it is queued");
	while (tls_peer_len(s.peer) < len)
		cr_assert(tls_peer_wait(s.peer, ""));
	cr_expect_eq(s.to_send, 0);
	cr_expect_lt(s.most, TLS_WRITE_HIGH + 65536);
	side_fini(&s);
}

Test(tls, pause_holds_back_the_client)
{
	struct side s;

	side_init(&s, "EC", 13, 20000);
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_assert(tls_peer_wait_flag(s.peer, &s.ready));
	tls_conn_pause(s.conn);
	tls_peer_send(s.peer, "abc", 3);
	for (int i = 0; i < 20; i++)
		event_base_loop(s.base, EVLOOP_NONBLOCK);
	cr_expect_eq(s.received, 0);
	tls_conn_resume(s.conn);
	while (s.received == 0)
		tls_peer_wait(s.peer, "");
	cr_expect_eq(s.received, 3);
	side_fini(&s);
}

Test(tls, finish_sends_what_is_queued)
{
	struct side s;

	side_init(&s, "EC", 13, 20000);
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_assert(tls_peer_wait_flag(s.peer, &s.ready));
	tls_conn_write(s.conn, "last words", 10);
	tls_conn_finish(s.conn);
	tls_conn_write(s.conn, "ignored", 7);
	cr_expect(tls_peer_wait_closed(s.peer));
	cr_expect_str_eq(tls_peer_text(s.peer), "last words");
	tls_peer_free(s.peer);
	while (!s.closed)
		event_base_loop(s.base, EVLOOP_ONCE);
	cr_expect_eq(s.why.code, ERR_OK);
	s.peer = NULL;
	tls_test_fini(&s.test);
	event_base_free(s.base);
}

Test(tls, no_handshake_in_time)
{
	struct side s;

	side_init(&s, "EC", 13, 50);
	cr_assert(tls_peer_wait_flag(s.peer, &s.closed));
	cr_expect_eq(s.why.code, ERR_TIMEOUT);
	side_fini(&s);
}

struct first_case {
	char bytes[16];
	int plain;
};

ParameterizedTestParameters(tls, first_bytes)
{
	static struct first_case rows[] = {
	    {"GET / HTTP/1.1", 1},
	    {"\x80\x2e\x01", 0},
	    {"\x16\x03\x01garb", 0},
	    {"get", 0},
	    {" ", 0},
	    {"\xff", 0},
	};

	return cr_make_param_array(struct first_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct first_case *row, tls, first_bytes)
{
	struct side s;
	size_t len = strlen(row->bytes);

	side_init(&s, "EC", 13, 200);
	cr_assert_eq(write(tls_peer_fd(s.peer), row->bytes, len), (ssize_t)len);
	if (row->plain) {
		cr_assert(tls_peer_wait_flag(s.peer, &s.ready));
		cr_expect(tls_conn_is_plain(s.conn));
	} else {
		cr_assert(tls_peer_wait_flag(s.peer, &s.closed));
		cr_expect_not(s.ready);
		cr_expect_neq(s.why.code, ERR_OK);
	}
	side_fini(&s);
}

Test(tls, a_client_that_just_goes_is_an_ordinary_end)
{
	struct side s;

	side_init(&s, "EC", 13, 20000);
	cr_assert_eq(tls_peer_handshake(s.peer), 0);
	cr_assert(tls_peer_wait_flag(s.peer, &s.ready));
	tls_peer_free(s.peer);
	while (!s.closed)
		event_base_loop(s.base, EVLOOP_ONCE);
	cr_expect_eq(s.closed, 1);
	cr_expect_eq(s.why.code, ERR_OK);
	tls_test_fini(&s.test);
	event_base_free(s.base);
}
