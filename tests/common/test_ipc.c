/*
 * Endpoints over real socket pairs: what a hostile peer may send, queues,
 * descriptors, and freeing at awkward moments.
 */
#include "config.h"

#include "common/ipc_int.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <event2/event.h>

#include "common/io.h"
#include "common/proc.h"

#define SRV 1
#define CLI 2
#define S_NEW 1
#define S_OPEN 2

enum {
	T_NUMBER = 1, /* u32; the handler reads it */
	T_DATA = 2,   /* any bytes */
	T_FD = 3,     /* one or two descriptors */
	T_LATER = 4,  /* only when open */
	T_REPLY = 5,  /* to the client */
	T_QUIT = 6,   /* its handler frees the endpoint */
	T_REFUSE = 7, /* its handler says no */
	T_LAZY = 8,   /* its handler does not read the body */
};

static struct {
	struct event_base *base;
	struct ipc *srv;
	int cli; /* raw end */
	uint32_t number;
	int count;
	int fd;
	int closed;
	int drained;
	struct err why;
} t;

static int
on_number(void *ctx, struct ipc_msg *m)
{
	cr_assert(ctx == &t && m->ipc == t.srv);
	t.number = wire_r_u32(&m->body);
	t.count++;
	return 0;
}

static int
on_data(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	wire_r_bytes(&m->body, wire_r_left(&m->body));
	t.count++;
	return 0;
}

static int
on_fd(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	t.fd = m->fds[0];
	m->fds[0] = -1;
	t.count++;
	return 0;
}

static int
on_quit(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	(void)m;
	t.count++;
	ipc_free(&t.srv);
	cr_assert(t.srv == NULL);
	return 0;
}

static int
on_refuse(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	return err_set(&m->err, ERR_PERM, "no");
}

static int
on_lazy(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	(void)m;
	return 0;
}

static const struct ipc_row rows[] = {
    {T_NUMBER, "NUMBER", 4, 4, SRV, S_NEW | S_OPEN, 0, 0, on_number},
    {T_DATA, "DATA", 0, IPC_BODY_MAX, SRV, S_NEW | S_OPEN, 0, 0, on_data},
    {T_FD, "FD", 0, 0, SRV, S_NEW | S_OPEN, 1, 2, on_fd},
    {T_LATER, "LATER", 0, 0, SRV, S_OPEN, 0, 0, on_data},
    {T_REPLY, "REPLY", 0, IPC_BODY_MAX, CLI, S_NEW, 0, 1, NULL},
    {T_QUIT, "QUIT", 0, 0, SRV, S_NEW, 0, 0, on_quit},
    {T_REFUSE, "REFUSE", 0, 0, SRV, S_NEW, 0, 0, on_refuse},
    {T_LAZY, "LAZY", 4, 4, SRV, S_NEW, 0, 0, on_lazy},
};
static const struct ipc_proto proto = {"test", rows,
    sizeof(rows) / sizeof(rows[0]), 5, 4};

static void
on_closed(void *ctx, const struct err *why)
{
	cr_assert(ctx == &t);
	t.closed++;
	t.why = *why;
	ipc_free(&t.srv);
}

static void
on_drained(void *ctx)
{
	(void)ctx;
	t.drained++;
}

static void
setup(void)
{
	struct ipc_cfg cfg = {
	    .proto = &proto,
	    .role = SRV,
	    .state = S_NEW,
	    .ctx = &t,
	    .closed = on_closed,
	    .drained = on_drained,
	    .backlog_low = 100 * 1000,
	    .backlog_high = 300 * 1000,
	    .backlog_max = 1000 * 1000,
	    .per_turn = 4,
	};
	struct err e;
	int fds[2];

	t.fd = -1;
	cr_assert(ipc_pair(fds, &e) == 0);
	t.cli = fds[1];
	cr_assert((t.base = event_base_new()) != NULL);
	cfg.base = t.base;
	t.srv = ipc_new(fds[0], &cfg, &e);
	cr_assert(t.srv != NULL, "%s", e.msg);
}

static void
teardown(void)
{
	ipc_free(&t.srv);
	io_close(&t.cli);
	io_close(&t.fd);
	event_base_free(t.base);
}

TestSuite(ipc, .init = setup, .fini = teardown);

static void
turns(int n)
{
	while (n-- > 0)
		event_base_loop(t.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A packet as the peer wants it, with any header and descriptors. */
struct raw {
	uint32_t magic;
	uint16_t version, type;
	uint32_t length;
	size_t body_len;
	int nfds;
	size_t cut; /* header bytes left out */
};

static void
raw_send(const struct raw *r)
{
	static uint8_t buf[IPC_PACKET_MAX + 100];
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = {buf, 0};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	struct wire_w w;
	int i, fd;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u32(&w, r->magic);
	wire_w_u16(&w, r->version);
	wire_w_u16(&w, r->type);
	wire_w_u32(&w, r->length);
	wire_w_u32(&w, 0);
	wire_w_u64(&w, 11);
	wire_w_u64(&w, 12);
	iov.iov_len = IPC_HDR_LEN + r->body_len - r->cut;
	if (r->nfds > 0) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE((size_t)r->nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)r->nfds * sizeof(int));
		fd = t.cli;
		for (i = 0; i < r->nfds; i++)
			memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd,
			    sizeof(fd));
	}
	cr_assert(sendmsg(t.cli, &mh, 0) == (ssize_t)iov.iov_len, "%s",
	    strerror(errno));
}

static struct raw
raw_ok(uint16_t type, uint32_t len, int nfds)
{
	return (struct raw){IPC_MAGIC, 5, type, len, len, nfds, 0};
}

Test(ipc, header_bytes)
{
	static const uint8_t want[IPC_HDR_LEN] = {'H', 'F', 'P', 'C', 5, 0, 3,
	    0, 4, 3, 2, 1, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0, 0, 0,
	    0, 0};
	uint8_t hdr[IPC_HDR_LEN];

	ipc_packet_header(hdr, &proto, 3, 0x01020304, 0x0102030405060708, 1);
	cr_assert(memcmp(hdr, want, sizeof(want)) == 0);
}

Test(ipc, message_reaches_its_handler)
{
	struct raw r = raw_ok(T_NUMBER, 4, 0);

	raw_send(&r);
	r.version = 4;
	raw_send(&r);
	turns(1);
	cr_assert(t.count == 2 && t.closed == 0);
}

Test(ipc, credentials_are_the_kernels)
{
	cr_assert(ipc_peer_pid(t.srv) == getpid());
	cr_assert(ipc_peer_uid(t.srv) == geteuid());
	cr_assert(ipc_peer_gid(t.srv) == getegid());
}

struct bad_case {
	char name[40];
	struct raw raw;
	char why[40]; /* part of the reason */
};

ParameterizedTestParameters(ipc, breach_closes)
{
	static struct bad_case cases[] = {
	    {"short", {IPC_MAGIC, 5, 1, 0, 0, 0, 1}, "too short"},
	    {"magic", {1, 5, T_NUMBER, 4, 4, 0, 0}, "magic"},
	    {"new version", {IPC_MAGIC, 6, T_NUMBER, 4, 4, 0, 0}, "version 6"},
	    {"old version", {IPC_MAGIC, 3, T_NUMBER, 4, 4, 0, 0}, "version 3"},
	    {"type", {IPC_MAGIC, 5, 99, 4, 4, 0, 0}, "unknown type 99"},
	    {"type 0", {IPC_MAGIC, 5, 0, 4, 4, 0, 0}, "unknown type 0"},
	    {"direction", {IPC_MAGIC, 5, T_REPLY, 4, 4, 0, 0}, "direction"},
	    {"body short", {IPC_MAGIC, 5, T_NUMBER, 3, 3, 0, 0}, "length 3"},
	    {"body long", {IPC_MAGIC, 5, T_NUMBER, 5, 5, 0, 0}, "length 5"},
	    {"length lies", {IPC_MAGIC, 5, T_DATA, 9, 8, 0, 0}, "length 9"},
	    {"length 4G", {IPC_MAGIC, 5, T_DATA, -1u, 8, 0, 0}, "length"},
	    {"truncated", {IPC_MAGIC, 5, T_DATA, 65537, 65537, 0, 0},
		"too long"},
	    {"state", {IPC_MAGIC, 5, T_LATER, 0, 0, 0, 0}, "state"},
	    {"no fd", {IPC_MAGIC, 5, T_FD, 0, 0, 0, 0}, "0 descriptors"},
	    {"fds above row", {IPC_MAGIC, 5, T_FD, 0, 0, 3, 0},
		"3 descriptors"},
	    {"fd not wanted", {IPC_MAGIC, 5, T_NUMBER, 4, 4, 1, 0},
		"1 descriptors"},
	    {"surplus fds", {IPC_MAGIC, 5, T_FD, 0, 0, IPC_FDS_MAX + 1, 0},
		"surplus"},
	    {"many fds", {IPC_MAGIC, 5, T_FD, 0, 0, 60, 0}, "surplus"},
	    {"fds, truncated", {IPC_MAGIC, 5, T_DATA, 65537, 65537, 2, 0},
		"too long"},
	    {"refused", {IPC_MAGIC, 5, T_REFUSE, 0, 0, 0, 0}, "no"},
	    {"unread body", {IPC_MAGIC, 5, T_LAZY, 4, 4, 0, 0}, "bytes"},
	    {"empty packet", {IPC_MAGIC, 5, 1, 0, 0, 0, IPC_HDR_LEN}, "closed"},
	};

	return cr_make_param_array(struct bad_case, cases,
	    sizeof(cases) / sizeof(cases[0]));
}

ParameterizedTest(struct bad_case *c, ipc, breach_closes)
{
	struct raw good = raw_ok(T_NUMBER, 4, 0);
	int before = open_fds();

	raw_send(&c->raw);
	raw_send(&good);
	turns(3);
	cr_assert(t.closed == 1, "%s: not closed", c->name);
	cr_assert(strstr(t.why.msg, c->why) != NULL, "%s: %s", c->name,
	    t.why.msg);
	cr_assert(t.count == 0, "%s: nothing is handled behind it", c->name);
	cr_assert(open_fds() == before - 1, "%s: descriptors leak", c->name);
}

Test(ipc, peer_goes_away)
{
	io_close(&t.cli);
	turns(2);
	cr_assert(t.closed == 1 && t.why.code == ERR_ABORTED);
}

Test(ipc, descriptor_is_taken_or_closed)
{
	struct raw r = raw_ok(T_FD, 0, 2);
	int before = open_fds();

	raw_send(&r);
	turns(1);
	cr_assert(t.count == 1 && t.fd != -1);
	cr_assert(fcntl(t.fd, F_GETFD) & FD_CLOEXEC);
	cr_assert(open_fds() == before + 1, "the second one was not taken");
}

Test(ipc, handler_may_free_its_endpoint)
{
	struct raw quit = raw_ok(T_QUIT, 0, 0), more = raw_ok(T_NUMBER, 4, 0);

	raw_send(&quit);
	raw_send(&more);
	turns(3);
	cr_assert(t.count == 1 && t.closed == 0);
}

Test(ipc, turns_are_bounded)
{
	struct raw r = raw_ok(T_NUMBER, 4, 0);
	int i;

	for (i = 0; i < 10; i++)
		raw_send(&r);
	turns(1);
	cr_assert(t.count == 4);
	turns(2);
	cr_assert(t.count == 10);
}

Test(ipc, state_and_pause)
{
	struct raw r = raw_ok(T_LATER, 0, 0);

	ipc_pause(t.srv);
	raw_send(&r);
	turns(2);
	cr_assert(t.count == 0);
	ipc_set_state(t.srv, S_OPEN);
	cr_assert(ipc_state(t.srv) == S_OPEN);
	ipc_resume(t.srv);
	turns(1);
	cr_assert(t.count == 1 && t.closed == 0);
}

Test(ipc, fail_calls_closed_from_the_loop)
{
	struct err why;

	err_set(&why, ERR_TIMEOUT, "too slow");
	ipc_fail(t.srv, &why);
	cr_assert(t.closed == 0 && !ipc_is_open(t.srv));
	cr_assert(ipc_send(t.srv, T_REPLY, 0, 0, NULL, 0, &why) == -1);
	cr_assert(why.code == ERR_ABORTED);
	turns(1);
	cr_assert(t.closed == 1 && t.why.code == ERR_TIMEOUT);
}

Test(ipc, send_checks_the_table)
{
	uint8_t body[IPC_BODY_MAX + 1] = {0};
	struct err e;
	int fds[2] = {t.cli, t.cli};

	cr_expect(ipc_send(t.srv, T_NUMBER, 0, 0, body, 4, &e) == -1);
	cr_expect(e.code == ERR_INVALID, "towards ourselves");
	cr_expect(ipc_send(t.srv, 77, 0, 0, body, 4, &e) == -1);
	cr_expect(
	    ipc_send(t.srv, T_REPLY, 0, 0, body, IPC_BODY_MAX + 1, &e) == -1);
	cr_expect(
	    ipc_send_fds(t.srv, T_REPLY, 0, 0, body, 4, fds, 2, &e) == -1);
	cr_expect(ipc_is_open(t.srv));
}

/* Reads one packet as the peer; its body length, and the descriptor count. */
static ssize_t
raw_recv(uint64_t *seq, int *nfds)
{
	static uint8_t buf[IPC_PACKET_MAX];
	int fds[IPC_FDS_MAX], i;
	struct wire_r r;
	struct err e;
	size_t len;

	if (ipc_packet_recv(t.cli, buf, &len, fds, nfds, &e) != 1)
		return -1;
	for (i = 0; i < *nfds; i++)
		close(fds[i]);
	wire_r_init(&r, buf + 24, 8);
	*seq = wire_r_u64(&r);
	return (ssize_t)len - IPC_HDR_LEN;
}

Test(ipc, queue_keeps_order_and_descriptors_and_drains)
{
	static uint8_t body[50000];
	uint64_t seq, want = 0;
	struct err e;
	int i, nfds, mem = io_memfd("x", 1, 0, &e);

	for (i = 0; i < 12; i++)
		cr_assert(ipc_send_fds(t.srv, T_REPLY, 0, (uint64_t)i, body,
			      sizeof(body), &mem, 1, &e) == 0);
	io_close(&mem);
	cr_assert(ipc_is_full(t.srv) && ipc_backlog(t.srv) >= 300 * 1000);
	while (want < 12) {
		turns(1);
		while (raw_recv(&seq, &nfds) == sizeof(body)) {
			cr_assert(seq == want && nfds == 1);
			want++;
		}
	}
	turns(1);
	cr_assert(ipc_backlog(t.srv) == 0 && !ipc_is_full(t.srv));
	cr_assert(t.drained == 1);
}

/* The kernel limits a user's descriptors in flight to RLIMIT_NOFILE. */
Test(ipc, descriptors_in_flight_are_limited)
{
	uint64_t seq, sent, want = 0;
	struct err e;
	int i, nfds;

	if (geteuid() == 0)
		cr_assert(proc_drop(54321, 54321, NULL, 0, &e) == 0);
	cr_assert(proc_limit(RLIMIT_NOFILE, 40, &e) == 0);
	for (sent = 0; sent < 48; sent++)
		cr_assert(ipc_send_fds(t.srv, T_REPLY, 0, sent, NULL, 0, &t.cli,
			      1, &e) == 0,
		    "%s", e.msg);
	cr_assert(ipc_backlog(t.srv) > 0, "some had to wait");
	for (i = 0; i < 1000 && want < sent; i++) {
		while (raw_recv(&seq, &nfds) == 0) {
			cr_assert(seq == want && nfds == 1);
			want++;
		}
		if (ipc_backlog(t.srv) > 0)
			event_base_loop(t.base, EVLOOP_ONCE);
	}
	cr_assert(want == sent && ipc_backlog(t.srv) == 0);
	cr_assert(i < 300, "%d turns: it waits instead of trying all the time",
	    i);
}

Test(ipc, peer_that_does_not_read_is_closed)
{
	static uint8_t body[60000];
	struct err e;
	int i, before;

	before = open_fds();
	for (i = 0; i < 100; i++)
		if (ipc_send_fds(t.srv, T_REPLY, 0, 0, body, sizeof(body),
			&t.cli, 1, &e) == -1)
			break;
	cr_assert(i < 100 && e.code == ERR_LIMIT);
	cr_assert(t.closed == 0, "not from inside of the call");
	turns(1);
	cr_assert(t.closed == 1 && t.why.code == ERR_LIMIT);
	cr_assert(open_fds() == before - 1, "queued descriptors are closed");
}

Test(ipc, send_to_the_dead)
{
	struct err e;

	io_close(&t.cli);
	cr_assert(ipc_send(t.srv, T_REPLY, 0, 0, NULL, 0, &e) == -1);
	cr_assert(e.code == ERR_ABORTED);
	turns(1);
	cr_assert(t.closed == 1);
}

/* --- blocking ------------------------------------------------------------ */

static struct ipc *
blocking_new(void)
{
	struct ipc_cfg cfg = {.proto = &proto, .role = CLI, .state = S_NEW};
	struct err e;
	struct ipc *c = ipc_new(t.cli, &cfg, &e);

	cr_assert(c != NULL);
	t.cli = -1;
	return c;
}

Test(ipc, call_gets_its_answer)
{
	struct ipc *c = blocking_new();
	uint8_t four[4] = {9, 0, 0, 0};
	struct ipc_msg m;
	struct err e;

	cr_assert(ipc_send(t.srv, T_REPLY, 7, 42, "abc", 3, &e) == 0);
	cr_assert(ipc_call(c, T_NUMBER, 7, 42, four, 4, NULL, 0, 1000, &m,
		      &e) == 0,
	    "%s", e.msg);
	cr_assert(m.type == T_REPLY && m.session == 7 && m.seq == 42);
	cr_assert(memcmp(wire_r_bytes(&m.body, 3), "abc", 3) == 0);
	ipc_msg_close(&m);
	turns(1);
	cr_assert(t.number == 9);
	ipc_free(&c);
}

Test(ipc, call_fails_by_time_by_order_and_by_death)
{
	struct ipc *c = blocking_new();
	uint8_t four[4] = {0};
	struct ipc_msg m;
	struct err e;

	cr_expect(
	    ipc_call(c, T_NUMBER, 0, 1, four, 4, NULL, 0, 20, &m, &e) == -1);
	cr_expect(e.code == ERR_TIMEOUT && ipc_is_open(c));
	cr_assert(
	    ipc_send_fds(t.srv, T_REPLY, 0, 1, NULL, 0, &c->fd, 1, &e) == 0);
	cr_expect(
	    ipc_call(c, T_NUMBER, 0, 2, four, 4, NULL, 0, 1000, &m, &e) == -1);
	cr_expect(e.code == ERR_PROTO && !ipc_is_open(c), "stale answer");
	ipc_free(&c);
	turns(2);
	cr_expect(t.closed == 1);
}

Test(ipc, recv_sees_the_end)
{
	struct ipc *c = blocking_new();
	struct ipc_msg m;
	struct err e;

	ipc_free(&t.srv);
	cr_expect(ipc_recv(c, 1000, &m, &e) == -1);
	cr_expect(e.code == ERR_ABORTED);
	cr_expect(ipc_recv(c, 1000, &m, &e) == -1 && e.code == ERR_ABORTED);
	ipc_free(&c);
}

/* --- sockets ------------------------------------------------------------- */

static int accepted_fd = -1;

static void
on_accepted(void *ctx, int fd)
{
	cr_assert(ctx == &t);
	io_close(&accepted_fd);
	accepted_fd = fd;
}

static void
check_listen(const char *dir)
{
	char path[600];
	struct ipc_listener *l;
	struct stat st;
	struct err e;
	int fd, conn;

	snprintf(path, sizeof(path), "%s/sock", dir);
	cr_assert(ipc_connect(path, &e) == -1 && e.code == ERR_UNAVAILABLE);
	fd = ipc_listen(path, 0660, &e);
	cr_assert(fd >= 0, "%s", e.msg);
	cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0660);
	io_close(&fd);
	cr_assert(ipc_connect(path, &e) == -1 && e.code == ERR_UNAVAILABLE,
	    "nobody listens on the old file");
	fd = ipc_listen(path, 0600, &e);
	cr_assert(fd >= 0, "the old file is replaced");
	l = ipc_listener_new(t.base, fd, on_accepted, &t, &e);
	cr_assert(l != NULL);
	conn = ipc_connect(path, &e);
	cr_assert(conn >= 0, "%s", e.msg);
	turns(1);
	cr_assert(accepted_fd != -1);
	cr_assert(send(conn, "x", 1, 0) == 1);
	io_close(&conn);
	io_close(&accepted_fd);
	ipc_listener_free(&l);
	cr_assert(l == NULL);
	cr_assert(unlink(path) == 0);
}

Test(ipc, listen_and_connect)
{
	char dir[] = "/tmp/holdfast-ipc-XXXXXX", deep[300], cmd[400];

	cr_assert(mkdtemp(dir) != NULL);
	check_listen(dir);
	/* Longer than a socket address. */
	snprintf(deep, sizeof(deep), "%s/%0120d", dir, 0);
	cr_assert(mkdir(deep, 0700) == 0);
	check_listen(deep);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert(system(cmd) == 0);
}

Test(ipc, full_queue_is_told_apart)
{
	char dir[] = "/tmp/holdfast-ipc-XXXXXX", path[64], cmd[64];
	struct err e;
	int fd, i, conns[8];

	cr_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	fd = ipc_listen(path, 0600, &e);
	cr_assert(fd >= 0 && listen(fd, 1) == 0);
	for (i = 0; i < 8; i++)
		if ((conns[i] = ipc_connect(path, &e)) == -1)
			break;
	cr_assert(i < 8 && e.code == ERR_UNAVAILABLE && e.sys == EAGAIN);
	while (i-- > 0)
		close(conns[i]);
	close(fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert(system(cmd) == 0);
}
