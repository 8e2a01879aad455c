/* The rules of a worker's connection, from the table of messages: who sends
 * too little, too much, at the wrong time or the wrong way round is closed.
 * One case a row; the validator behind it has no store. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <event2/event.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/msg.h"
#include "common/path.h"
#include "validator/peer.h"
#include "validator/session.h"
#include "validator/store/lockdb.h"
#include "validator/validator.h"

#define TURNS 2000

static struct validator v;
static char dir[64];
static int client = -1;

static void
set_up(void)
{
	char path[256];
	struct err e;
	bool rebooted;
	int fd;

	log_init("test_peer", LOG_F_STDERR);
	snprintf(dir, sizeof(dir), "/tmp/test_peer.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	memset(&v, 0, sizeof(v));
	v.base = event_base_new();
	v.grants = grant_seen_new();
	v.conf.resume_time = 60000;
	v.conf.arena_size = 1 << 26;
	snprintf(path, sizeof(path), "%s/locks", dir);
	cr_assert_eq(lockdb_open(&v.locks, path, 1 << 20, &rebooted, &e), 0,
	    "%s", e.msg);
	snprintf(path, sizeof(path), "%s/sock", dir);
	fd = ipc_listen(path, 0600, &e);
	cr_assert_neq(fd, -1, "%s", e.msg);
	v.peers = peers_new(&v, fd, &e);
	cr_assert_not_null(v.peers);
	snprintf(path, sizeof(path), "%s/validator", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	v.conf.run_dir = dir;
	v.start_uid = v.worker_uid = geteuid();
	v.sessions = sessions_new(&v, &e);
	cr_assert_not_null(v.sessions, "%s", e.msg);
	snprintf(path, sizeof(path), "%s/sock", dir);
	client = ipc_connect(path, &e);
	cr_assert_neq(client, -1, "%s", e.msg);
}

static void
tear_down(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	io_close(&client);
	peers_free(&v.peers);
	sessions_free(&v.sessions);
	lockdb_close(&v.locks);
	grant_seen_free(v.grants);
	event_base_free(v.base);
	path_remove_tree(fd, dir + strlen("/tmp/"), NULL);
	close(fd);
}

TestSuite(peer, .init = set_up, .fini = tear_down);

struct packet {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t length;
};

static void
send_packet(const struct packet *p, uint64_t session, const void *body,
    size_t len)
{
	static uint8_t buf[IPC_HDR_LEN + IPC_BODY_MAX + 16];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u32(&w, p->magic);
	wire_w_u16(&w, p->version);
	wire_w_u16(&w, p->type);
	wire_w_u32(&w, p->length);
	wire_w_u32(&w, 0);
	wire_w_u64(&w, session);
	wire_w_u64(&w, 1);
	wire_w_bytes(&w, body, len);
	cr_assert_eq(send(client, buf, (size_t)wire_w_len(&w), MSG_NOSIGNAL),
	    wire_w_len(&w));
}

static void
say(uint16_t type, const void *body, size_t len)
{
	struct packet p = {IPC_MAGIC, IPC_VERSION, type, (uint32_t)len};

	send_packet(&p, 0, body, len);
}

/* The type of the validator's next message; 0: it closed. */
static unsigned int
hear(void)
{
	static uint8_t buf[IPC_HDR_LEN + IPC_BODY_MAX];
	ssize_t n;
	int i;

	for (i = 0; i < TURNS; i++) {
		event_base_loop(v.base, EVLOOP_NONBLOCK);
		n = recv(client, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno == ECONNRESET))
			return 0;
		if (n > 0)
			return (unsigned int)(buf[6] | buf[7] << 8);
		usleep(1000);
	}
	cr_assert_fail("neither an answer nor an end");
	return 0;
}

static void
greet(void)
{
	struct msg_HELLO m = {1, 1, "test", 0};
	uint8_t buf[MSG_MAX_HELLO];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_HELLO(&w, &m);
	say(MSG_ID_HELLO, buf, (size_t)wire_w_len(&w));
	cr_assert_eq(hear(), MSG_ID_WELCOME);
}

/* --- one case a row --- */

struct row_case {
	uint16_t id;
	uint32_t min;
	uint32_t max;
	uint8_t to;
	uint32_t states;
};

#define ROWS_MAX 64
static size_t
rows(struct row_case *out)
{
	size_t i;

	for (i = 0; i < peer_proto.nrows && i < ROWS_MAX; i++)
		out[i] = (struct row_case){peer_proto.rows[i].id,
		    peer_proto.rows[i].min, peer_proto.rows[i].max,
		    peer_proto.rows[i].to, peer_proto.rows[i].states};
	return i;
}

static struct criterion_test_params
row_params(void)
{
	static struct row_case cases[ROWS_MAX];
	size_t n = rows(cases);

	return cr_make_param_array(struct row_case, cases, n, NULL);
}

static const uint8_t zeros[IPC_BODY_MAX + 16];

ParameterizedTestParameters(peer, too_short)
{
	return row_params();
}
ParameterizedTest(struct row_case *c, peer, too_short)
{
	if (c->to != IPC_D_TO_VAL || c->min == 0)
		return;
	if (c->id != MSG_ID_HELLO)
		greet();
	say(c->id, zeros, c->min - 1);
	cr_assert_eq(hear(), 0, "%s", msg_name(c->id));
}

ParameterizedTestParameters(peer, too_long)
{
	return row_params();
}
ParameterizedTest(struct row_case *c, peer, too_long)
{
	if (c->to != IPC_D_TO_VAL || c->max + 1 > IPC_BODY_MAX)
		return;
	if (c->id != MSG_ID_HELLO)
		greet();
	say(c->id, zeros, c->max + 1);
	cr_assert_eq(hear(), 0, "%s", msg_name(c->id));
}

ParameterizedTestParameters(peer, before_the_greeting)
{
	return row_params();
}
ParameterizedTest(struct row_case *c, peer, before_the_greeting)
{
	if (c->states & IPC_S_NEW)
		return;
	say(c->id, zeros, c->min);
	cr_assert_eq(hear(), 0, "%s", msg_name(c->id));
}

ParameterizedTestParameters(peer, without_a_session)
{
	return row_params();
}
ParameterizedTest(struct row_case *c, peer, without_a_session)
{
	if (c->states & IPC_S_READY)
		return;
	greet();
	say(c->id, zeros, c->min);
	cr_assert_eq(hear(), 0, "%s", msg_name(c->id));
}

ParameterizedTestParameters(peer, wrong_direction)
{
	return row_params();
}
ParameterizedTest(struct row_case *c, peer, wrong_direction)
{
	if (c->to == IPC_D_TO_VAL)
		return;
	greet();
	say(c->id, zeros, c->min);
	cr_assert_eq(hear(), 0, "%s", msg_name(c->id));
}

/* --- the rest --- */

Test(peer, versions)
{
	static const struct {
		uint16_t min;
		uint16_t max;
		unsigned int answer;
	} cases[] = {
	    {IPC_VERSION, IPC_VERSION, MSG_ID_WELCOME},
	    {IPC_VERSION, IPC_VERSION + 7, MSG_ID_WELCOME},
	    {IPC_VERSION + 1, IPC_VERSION + 7, MSG_ID_FAIL},
	    {0, 0, MSG_ID_FAIL},
	};
	char path[256];
	uint8_t buf[MSG_MAX_HELLO];
	struct wire_w w;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msg_HELLO m = {cases[i].min, cases[i].max, "test", 0};

		io_close(&client);
		snprintf(path, sizeof(path), "%s/sock", dir);
		client = ipc_connect(path, NULL);
		wire_w_init(&w, buf, sizeof(buf));
		msg_put_HELLO(&w, &m);
		say(MSG_ID_HELLO, buf, (size_t)wire_w_len(&w));
		cr_assert_eq(hear(), cases[i].answer, "%u to %u", cases[i].min,
		    cases[i].max);
	}
}

Test(peer, second_greeting)
{
	greet();
	say(MSG_ID_HELLO, zeros, MSG_MIN_HELLO);
	cr_assert_eq(hear(), 0);
}

Test(peer, trailing_bytes)
{
	greet();
	say(MSG_ID_SESSION_OPEN, zeros, MSG_MIN_SESSION_OPEN + 1);
	cr_assert_eq(hear(), MSG_ID_FAIL, "refused, then");
	cr_assert_eq(hear(), 0, "closed");
}

Test(peer, broken_headers)
{
	static const struct packet cases[] = {
	    {IPC_MAGIC + 1, IPC_VERSION, MSG_ID_CALL, MSG_MIN_CALL},
	    {IPC_MAGIC, IPC_VERSION + 1, MSG_ID_CALL, MSG_MIN_CALL},
	    {IPC_MAGIC, 0, MSG_ID_CALL, MSG_MIN_CALL},
	    {IPC_MAGIC, IPC_VERSION, 9999, MSG_MIN_CALL},
	    {IPC_MAGIC, IPC_VERSION, MSG_ID_CALL, MSG_MIN_CALL + 1},
	    {IPC_MAGIC, IPC_VERSION, MSG_ID_CALL, UINT32_MAX},
	};
	char path[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		io_close(&client);
		snprintf(path, sizeof(path), "%s/sock", dir);
		client = ipc_connect(path, NULL);
		greet();
		send_packet(&cases[i], 0, zeros, MSG_MIN_CALL);
		cr_assert_eq(hear(), 0, "case %zu", i);
	}
}

Test(peer, runt)
{
	cr_assert_eq(send(client, "x", 1, 0), 1);
	cr_assert_eq(hear(), 0);
}

Test(peer, call_without_a_grant)
{
	greet();
	say(MSG_ID_CALL, zeros, MSG_MIN_CALL);
	cr_assert_eq(hear(), MSG_ID_FAIL);
	say(MSG_ID_SESSION_OPEN, zeros, MSG_MIN_SESSION_OPEN);
	cr_assert_eq(hear(), MSG_ID_FAIL, "the connection goes on");
}

Test(peer, resume_of_nothing)
{
	struct msghdr h = {0};
	uint8_t buf[IPC_HDR_LEN + MSG_MIN_SESSION_RESUME] = {0};
	uint8_t anc[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {buf, sizeof(buf)};
	struct cmsghdr *cm;
	struct wire_w w;
	int fd = io_memfd("none", 0, 0, NULL);

	greet();
	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u32(&w, IPC_MAGIC);
	wire_w_u16(&w, IPC_VERSION);
	wire_w_u16(&w, MSG_ID_SESSION_RESUME);
	wire_w_u32(&w, MSG_MIN_SESSION_RESUME);
	h.msg_iov = &iov;
	h.msg_iovlen = 1;
	h.msg_control = anc;
	h.msg_controllen = sizeof(anc);
	cm = CMSG_FIRSTHDR(&h);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	cr_assert_eq(sendmsg(client, &h, 0), (ssize_t)sizeof(buf));
	close(fd);
	cr_assert_eq(hear(), MSG_ID_FAIL);
}
