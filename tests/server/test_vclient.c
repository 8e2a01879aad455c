/*
 * The validator client against a validator of our own in the same loop, which
 * goes away at the worst moments.
 */
#include "config.h"

#include "server/vclient.h"

#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <event2/event.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"

#define SESSION 0x1234
#define SEEN_MAX 4096
#define PATIENCE_MS 30000

static struct event_base *base;
static struct vclient *v;
static char dir[] = "/tmp/test_vclient.XXXXXX", path[64];
static struct err e;

/* --- a validator --------------------------------------------------------- */

static struct {
	struct ipc_listener *listener;
	struct ipc *peer;
	int peers;   /* connections so far */
	bool mute;   /* takes connections, says nothing */
	int kill_at; /* cut the connection instead of taking this message */
	struct {
		uint16_t type;
		uint64_t seq;
		uint64_t session;
	} seen[SEEN_MAX];
	int count;
	int answered; /* resumes: refuse with this code, if not 0 */
	enum err_code refuse;
	struct arena arena;
	ino_t arena_inode; /* of the one that a resume brought */
	uint8_t key[32];
} val;

static void
val_send(uint16_t type, uint64_t seq, const struct wire_w *w, int fd)
{
	cr_assert_eq(ipc_send_fds(val.peer, type, SESSION, seq, w->start,
			 (size_t)wire_w_len(w), &fd, fd != -1, &e),
	    0, "%s", e.msg);
}

#define VAL_SEND(NAME, seq, fd, ...)                       \
	do {                                               \
		struct msg_##NAME m_ = {__VA_ARGS__};      \
		struct wire_w w_;                          \
		uint8_t buf_[8192];                        \
		wire_w_init(&w_, buf_, sizeof(buf_));      \
		cr_assert_eq(msg_put_##NAME(&w_, &m_), 0); \
		val_send(MSG_ID_##NAME, (seq), &w_, (fd)); \
	} while (0)

static void
val_fail(uint64_t seq, enum err_code code, const char *text)
{
	struct msg_FAIL m = {.code = (uint16_t)code};
	struct wire_w w;
	uint8_t buf[2048];

	snprintf(m.text, sizeof(m.text), "%s", text);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_FAIL(&w, &m);
	val_send(MSG_ID_FAIL, seq, &w, -1);
}

static void
val_resume(struct ipc_msg *m)
{
	struct msg_SESSION_RESUME b;
	struct stat st;

	cr_assert_eq(msg_get_SESSION_RESUME(&m->body, &b), 0);
	cr_assert_eq(m->session, SESSION);
	cr_assert_eq(memcmp(b.resume_key, val.key, 32), 0);
	cr_assert_eq(fstat(m->fds[0], &st), 0);
	val.arena_inode = st.st_ino;
	if (val.refuse != 0) {
		val_fail(m->seq, val.refuse, "no such session");
		return;
	}
	ipc_set_state(val.peer, IPC_S_SESSION);
	VAL_SEND(RESUMED, m->seq, -1, .credit_slots = 4);
}

static int
val_on_any(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	if (val.kill_at != 0 && val.count == val.kill_at) {
		val.kill_at = 0;
		ipc_free(&val.peer);
		wire_r_bytes(&m->body, wire_r_left(&m->body));
		return 0;
	}
	cr_assert_lt(val.count, SEEN_MAX);
	val.seen[val.count].type = m->type;
	val.seen[val.count].seq = m->seq;
	val.seen[val.count++].session = m->session;
	if (m->type == MSG_ID_HELLO && !val.mute) {
		ipc_set_state(val.peer, IPC_S_READY);
		VAL_SEND(WELCOME, m->seq, -1, .version = 1);
	}
	if (m->type == MSG_ID_SESSION_RESUME)
		val_resume(m);
	if (m->type == MSG_ID_SESSION_CLOSE)
		ipc_send(val.peer, MSG_ID_DONE, SESSION, m->seq, NULL, 0, &e);
	wire_r_bytes(&m->body, wire_r_left(&m->body));
	return 0;
}

#define VAL_TO_VAL val_on_any
#define VAL_TO_WRK NULL
#define IPC_ROW_WV(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, VAL_##dir, states, fds)
static const struct ipc_row val_rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto val_proto = {
    .name = "worker",
    .rows = val_rows,
    .nrows = sizeof(val_rows) / sizeof(val_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

static void
val_closed(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
	ipc_free(&val.peer);
}

static void
val_accepted(void *ctx, int fd)
{
	struct ipc_cfg cfg = {.base = base,
	    .proto = &val_proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_NEW,
	    .closed = val_closed};

	(void)ctx;
	val.peers++;
	ipc_free(&val.peer);
	val.peer = ipc_new(fd, &cfg, &e);
	cr_assert_not_null(val.peer);
}

static void
val_start(void)
{
	int fd = ipc_listen(path, 0600, &e);

	cr_assert_neq(fd, -1, "%s", e.msg);
	val.listener = ipc_listener_new(base, fd, val_accepted, NULL, &e);
}

static void
val_kill(void)
{
	ipc_free(&val.peer);
	ipc_listener_free(&val.listener);
}

/* --- waiting ------------------------------------------------------------- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

#define WAIT(condition)                                          \
	do {                                                     \
		uint64_t end_ = io_monotonic_ms() + PATIENCE_MS; \
		while (!(condition)) {                           \
			cr_assert_lt(io_monotonic_ms(), end_,    \
			    "waited in vain: " #condition);      \
			event_base_loop(base, EVLOOP_ONCE);      \
		}                                                \
	} while (0)

static int
seen_since(int from, uint16_t type)
{
	int i, n = 0;

	for (i = from; i < val.count; i++)
		n += val.seen[i].type == type;
	return n;
}

/* --- our side ------------------------------------------------------------ */

struct answer {
	int calls;
	int waits;
	unsigned int type;
	enum err_code code;
	char text[256];
	int order;
};
static int answers;

static void
on_answer(void *arg, struct vclient_reply *r, const struct err *why)
{
	struct answer *a = arg;

	if (r != NULL && r->type == MSG_ID_FINISH_WAIT) {
		a->waits++;
		return;
	}
	a->calls++;
	a->order = ++answers;
	cr_assert((r == NULL) != (why == NULL));
	if (r != NULL)
		a->type = r->type;
	else {
		a->code = why->code;
		snprintf(a->text, sizeof(a->text), "%.200s", why->msg);
	}
}

static struct {
	int aborted;
	int resumed;
	uint32_t slots;
	struct err why;
	int closed;
} sess;

static void
on_aborted(void *arg, const struct err *why)
{
	(void)arg;
	sess.aborted++;
	sess.why = *why;
}

static void
on_resumed(void *arg, uint32_t slots)
{
	(void)arg;
	sess.resumed++;
	sess.slots = slots;
}

static void
on_session_closed(void *arg)
{
	(void)arg;
	sess.closed++;
}

static struct event *tick;

static void
begin(void)
{
	struct timeval tv = {0, 20000};

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/v.sock", dir);
	base = event_base_new();
	tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	event_add(tick, &tv);
	memset(val.key, 7, sizeof(val.key));
	val_start();
	v = vclient_new(base, path);
}

static void
end(void)
{
	vclient_free(v);
	val_kill();
	arena_fini(&val.arena);
	event_free(tick);
	event_base_free(base);
	unlink(path);
	rmdir(dir);
}

TestSuite(vclient, .init = begin, .fini = end, .timeout = 120);

static void
open_backup(void)
{
	static const struct vclient_session_cb cb = {
	    .aborted = on_aborted,
	    .resumed = on_resumed,
	};
	struct msg_SESSION_OPEN m = {.kind = SESSION_KIND_BACKUP};
	struct answer a = {0};

	vclient_session_open(v, &m, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_SESSION_OPEN) == 1);
	cr_assert_eq(arena_create(&val.arena, "arena", 4, &e), 0);
	ipc_set_state(val.peer, IPC_S_SESSION);
	VAL_SEND(BACKUP_READY, val.seen[val.count - 1].seq, val.arena.fd,
	    .resume_key = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
		7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7},
	    .arena_blocks = 4, .credit_slots = 8);
	WAIT(a.calls == 1);
	cr_assert_eq(a.type, MSG_ID_BACKUP_READY);
	cr_assert_eq(vclient_session_id(v), SESSION);
	vclient_session_attach(v, &cb);
}

static void
deposit(uint32_t number, struct answer *a)
{
	struct msg_DEPOSIT m = {.number = number};

	vclient_deposit(v, &m, on_answer, a);
}

Test(vclient, a_call_is_answered)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};

	vclient_call(v, &m, -1, on_answer, &a);
	cr_assert_eq(a.calls, 0);
	WAIT(seen_since(0, MSG_ID_CALL) == 1);
	cr_assert_eq(val.seen[0].type, MSG_ID_HELLO);
	VAL_SEND(CALL_REPLY, val.seen[1].seq, -1, .n0 = 5);
	WAIT(a.calls == 1);
	cr_assert_eq(a.type, MSG_ID_CALL_REPLY);
	cr_assert_eq(vclient_pending(v), 0);
}

Test(vclient, a_call_brings_its_data_along)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};
	int fd = io_memfd_data("data", "notes", 5, &e);

	vclient_call(v, &m, fd, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_CALL_DATA) == 1);
	val_fail(val.seen[1].seq, ERR_EXISTS, "there already");
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_EXISTS);
	cr_assert_str_eq(a.text, "there already");
}

Test(vclient, a_call_waits_some_seconds_for_a_validator)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};
	uint64_t start = io_monotonic_ms();

	val_kill();
	vclient_call(v, &m, -1, on_answer, &a);
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_UNAVAILABLE);
	cr_assert_geq(io_monotonic_ms() - start, VCLIENT_CALL_WAIT_MS - 100);
}

Test(vclient, a_validator_that_only_accepts_is_away_too)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};

	val.mute = true;
	vclient_call(v, &m, -1, on_answer, &a);
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_UNAVAILABLE);
	cr_assert_eq(seen_since(0, MSG_ID_CALL), 0);
}

Test(vclient, a_call_goes_out_when_the_validator_comes)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};

	val_kill();
	vclient_call(v, &m, -1, on_answer, &a);
	event_base_loop(base, EVLOOP_ONCE);
	event_base_loop(base, EVLOOP_ONCE);
	val_start();
	WAIT(seen_since(0, MSG_ID_CALL) == 1);
	VAL_SEND(CALL_REPLY, val.seen[val.count - 1].seq, -1, .n0 = 5);
	WAIT(a.calls == 1);
	cr_assert_eq(a.type, MSG_ID_CALL_REPLY);
}

Test(vclient, a_call_is_never_sent_twice)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0};

	vclient_call(v, &m, -1, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_CALL) == 1);
	ipc_free(&val.peer);
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_UNAVAILABLE);
	cr_assert_eq(seen_since(0, MSG_ID_CALL), 1);
}

Test(vclient, nobody_hears_of_a_cancelled_call)
{
	struct msg_CALL m = {.op = 1};
	struct answer a = {0}, b = {0};

	vclient_cancel(vclient_call(v, &m, -1, on_answer, &a));
	vclient_call(v, &m, -1, on_answer, &b);
	WAIT(seen_since(0, MSG_ID_CALL) == 2);
	VAL_SEND(CALL_REPLY, val.seen[1].seq, -1, .n0 = 1);
	VAL_SEND(CALL_REPLY, val.seen[2].seq, -1, .n0 = 1);
	WAIT(b.calls == 1);
	cr_assert_eq(a.calls, 0);
}

Test(vclient, a_value_too_long_fails_by_itself)
{
	struct msg_CALL m = {.op = 1, .grant_len = IPC_GRANT_MAX + 1};
	struct answer a = {0};

	vclient_call(v, &m, -1, on_answer, &a);
	cr_assert_eq(a.calls, 0);
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_INVALID);
}

Test(vclient, a_session_resumes_and_sends_again_in_order)
{
	struct answer a[5] = {{0}};
	struct stat st;
	uint64_t seqs[5];
	uint32_t i;
	int from;

	open_backup();
	cr_assert_eq(fstat(val.arena.fd, &st), 0);
	from = val.count;
	for (i = 0; i < 5; i++)
		deposit(i, &a[i]);
	WAIT(seen_since(from, MSG_ID_DEPOSIT) == 5);
	for (i = 0; i < 5; i++)
		seqs[i] = val.seen[from + (int)i].seq;
	VAL_SEND(DEPOSITED, seqs[1], -1, .duplicate = 0);
	val_fail(seqs[3], ERR_INVALID, "detected chunk with wrong digest.");
	WAIT(a[1].calls == 1 && a[3].calls == 1);
	from = val.count;
	val_kill();
	val_start();
	WAIT(seen_since(from, MSG_ID_DEPOSIT) == 3);
	cr_assert_eq(val.seen[from].type, MSG_ID_HELLO);
	cr_assert_eq(val.seen[from + 1].type, MSG_ID_SESSION_RESUME);
	cr_assert_eq(val.arena_inode, st.st_ino);
	cr_assert_eq(val.seen[from + 2].seq, seqs[0]);
	cr_assert_eq(val.seen[from + 3].seq, seqs[2]);
	cr_assert_eq(val.seen[from + 4].seq, seqs[4]);
	cr_assert_eq(sess.resumed, 1);
	cr_assert_eq(sess.slots, 4);
	for (i = 0; i < 5; i += 2)
		VAL_SEND(DEPOSITED, seqs[i], -1, .duplicate = 1);
	WAIT(a[4].calls == 1);
	for (i = 0; i < 5; i++)
		cr_assert_eq(a[i].calls, 1);
	cr_assert_eq(sess.aborted, 0);
}

/* Wherever the connection is cut, everything is answered exactly once. */
Test(vclient, may_be_cut_off_at_any_message)
{
	struct answer a[6] = {{0}};
	uint32_t i;
	int cut, from, j;

	open_backup();
	for (cut = 0; cut < 9; cut++) {
		memset(a, 0, sizeof(a));
		from = val.count;
		val.kill_at = from + cut;
		for (i = 0; i < 6; i++)
			deposit(i, &a[i]);
		WAIT(val.kill_at == 0 || seen_since(from, MSG_ID_DEPOSIT) >= 6);
		if (val.kill_at != 0) { /* not reached: cut now */
			val.kill_at = 0;
			ipc_free(&val.peer);
		}
		j = val.count;
		WAIT(seen_since(j, MSG_ID_SESSION_RESUME) == 1 &&
		    seen_since(j, MSG_ID_DEPOSIT) == 6);
		for (; j < val.count; j++) {
			if (val.seen[j].type == MSG_ID_DEPOSIT)
				VAL_SEND(DEPOSITED, val.seen[j].seq, -1,
				    .duplicate = 0);
		}
		WAIT(a[5].calls == 1);
		for (i = 0; i < 6; i++) {
			cr_assert_eq(a[i].calls, 1);
			cr_assert_eq(a[i].type, MSG_ID_DEPOSITED);
		}
	}
	cr_assert_eq(vclient_pending(v), 0);
}

/* More than the socket's queue takes: what does not fit waits its turn. */
Test(vclient, sends_again_more_than_the_socket_takes)
{
	enum {
		N = 400
	};
	static uint8_t entries[IPC_APPEND_ENTRIES_MAX * IPC_APPEND_ENTRY_LEN];
	static struct answer a[N];
	struct msg_APPEND m = {.writer = 1,
	    .count = IPC_APPEND_ENTRIES_MAX,
	    .entries = entries,
	    .entries_len = sizeof(entries)};
	int i, j;

	open_backup();
	val_kill();
	for (i = 0; i < N; i++)
		vclient_append(v, &m, on_answer, &a[i]);
	j = val.count;
	val_start();
	WAIT(seen_since(j, MSG_ID_APPEND) == N);
	for (; j < val.count; j++) {
		if (val.seen[j].type == MSG_ID_APPEND)
			VAL_SEND(APPENDED, val.seen[j].seq, -1, .count = 1);
	}
	WAIT(a[N - 1].calls == 1);
	for (i = 0; i < N; i++) {
		cr_assert_eq(a[i].calls, 1);
		cr_assert_eq(a[i].order, a[0].order + i);
	}
}

Test(vclient, aborted_fails_what_is_on_its_way_and_what_comes)
{
	struct answer a = {0}, b = {0}, later = {0};

	open_backup();
	deposit(0, &a);
	deposit(1, &b);
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 2);
	VAL_SEND(ABORTED, 0, -1, .code = ERR_MISSING, .text = "chunk is gone");
	WAIT(sess.aborted == 1);
	cr_assert(a.calls == 1 && b.calls == 1);
	cr_assert_eq(a.code, ERR_MISSING);
	cr_assert_str_eq(b.text, "chunk is gone");
	deposit(2, &later);
	cr_assert_eq(later.calls, 0);
	WAIT(later.calls == 1);
	cr_assert_eq(later.code, ERR_MISSING);
	cr_assert_eq(seen_since(0, MSG_ID_DEPOSIT), 2);
}

Test(vclient, a_refused_resume_ends_the_session)
{
	struct answer a = {0};

	open_backup();
	deposit(0, &a);
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 1);
	val.refuse = ERR_NOT_FOUND;
	ipc_free(&val.peer);
	WAIT(sess.aborted == 1);
	cr_assert_eq(a.calls, 1);
	cr_assert_str_eq(a.text, "no such session");
	cr_assert_eq(sess.why.code, ERR_NOT_FOUND);
}

Test(vclient, a_resume_refused_for_now_is_tried_again)
{
	struct answer a = {0};
	int from;

	open_backup();
	deposit(0, &a);
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 1);
	val.refuse = ERR_LOCKED;
	from = val.count;
	ipc_free(&val.peer);
	WAIT(seen_since(from, MSG_ID_SESSION_RESUME) == 2);
	val.refuse = 0;
	WAIT(sess.resumed == 1);
	cr_assert_eq(a.calls, 0);
	cr_assert_eq(sess.aborted, 0);
}

Test(vclient, finish_waits_and_is_sent_again)
{
	struct msg_FINISH m = {0};
	struct answer a = {0};
	int from;

	open_backup();
	vclient_finish(v, &m, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_FINISH) == 1);
	VAL_SEND(FINISH_WAIT, val.seen[val.count - 1].seq, -1, .left = 5);
	WAIT(a.waits == 1);
	from = val.count;
	ipc_free(&val.peer);
	WAIT(seen_since(from, MSG_ID_FINISH) == 1);
	VAL_SEND(FINISHED, val.seen[val.count - 1].seq, -1, 0);
	WAIT(a.calls == 1);
	cr_assert_eq(a.type, MSG_ID_FINISHED);
}

Test(vclient, an_answer_of_the_wrong_kind_closes_the_connection)
{
	struct answer a = {0};
	int peers;

	open_backup();
	deposit(0, &a);
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 1);
	peers = val.peers;
	VAL_SEND(FINISHED, val.seen[val.count - 1].seq, -1, 0);
	WAIT(val.peers > peers && sess.resumed == 1);
	cr_assert_eq(a.calls, 0);
}

Test(vclient, log_lines_have_a_limit_while_nobody_listens)
{
	struct msg_SESSION_LOG m = {.text = "line"};
	struct answer a = {0};
	int i;

	open_backup();
	val_kill();
	for (i = 0; i < 1000; i++)
		vclient_session_log(v, &m);
	/* Connected or not: they do not pile up. */
	cr_assert_leq(vclient_pending(v), 100);
	deposit(0, &a);
	val_start();
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 1);
}

Test(vclient, the_last_message_gets_out)
{
	struct msg_SESSION_CLOSE m = {.clean = 1, .text = "bye"};
	struct answer a = {0};

	open_backup();
	deposit(0, &a);
	vclient_session_close(v, &m, on_session_closed, NULL);
	WAIT(sess.closed == 1);
	cr_assert_eq(a.calls, 1);
	cr_assert_eq(a.code, ERR_ABORTED);
	WAIT(seen_since(0, MSG_ID_SESSION_CLOSE) == 1);
	cr_assert_eq(sess.aborted, 0);
}

Test(vclient, the_last_message_waits_for_the_validator)
{
	struct msg_SESSION_CLOSE m = {.clean = 1, .text = "bye"};
	struct answer a = {0};
	int from;

	open_backup();
	deposit(0, &a);
	WAIT(seen_since(0, MSG_ID_DEPOSIT) == 1);
	val_kill();
	from = val.count;
	WAIT(vclient_pending(v) == 1);
	vclient_session_close(v, &m, on_session_closed, NULL);
	event_base_loop(base, EVLOOP_ONCE);
	event_base_loop(base, EVLOOP_ONCE);
	cr_assert_eq(sess.closed, 0);
	val_start();
	WAIT(sess.closed == 1 && seen_since(from, MSG_ID_SESSION_CLOSE) == 1);
	cr_assert_eq(seen_since(from, MSG_ID_SESSION_RESUME), 1);
	cr_assert_eq(seen_since(from, MSG_ID_DEPOSIT), 0);
}

/* The successor must not wait for a worker whose last message was lost. */
Test(vclient, the_last_message_is_sent_until_it_is_answered)
{
	struct msg_SESSION_CLOSE m = {.text = "bye"};
	int from;

	open_backup();
	val.kill_at = from = val.count;
	vclient_session_close(v, &m, on_session_closed, NULL);
	WAIT(val.peer == NULL);
	cr_assert_eq(sess.closed, 0);
	val_kill();
	val_start();
	WAIT(sess.closed == 1);
	cr_assert_eq(seen_since(from, MSG_ID_SESSION_RESUME), 1);
	cr_assert_eq(seen_since(from, MSG_ID_SESSION_CLOSE), 1);
}

Test(vclient, a_session_nobody_wants_any_more_is_closed)
{
	struct msg_SESSION_OPEN m = {.kind = SESSION_KIND_BACKUP};
	struct answer a = {0};
	struct vclient_req *req;

	req = vclient_session_open(v, &m, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_SESSION_OPEN) == 1);
	vclient_cancel(req);
	cr_assert_eq(arena_create(&val.arena, "arena", 4, &e), 0);
	ipc_set_state(val.peer, IPC_S_SESSION);
	VAL_SEND(BACKUP_READY, val.seen[val.count - 1].seq, val.arena.fd,
	    .arena_blocks = 4, .credit_slots = 8);
	WAIT(seen_since(0, MSG_ID_SESSION_CLOSE) == 1);
	cr_assert_eq(a.calls, 0);
}

Test(vclient, open_is_not_sent_again)
{
	struct msg_SESSION_OPEN m = {.kind = SESSION_KIND_BACKUP};
	struct answer a = {0};

	vclient_session_open(v, &m, on_answer, &a);
	WAIT(seen_since(0, MSG_ID_SESSION_OPEN) == 1);
	ipc_free(&val.peer);
	WAIT(a.calls == 1);
	cr_assert_eq(a.code, ERR_UNAVAILABLE);
}
