/* The pool and the real holdfast-checker together: verdicts, manifests, death,
 * slowness, release in the middle, spares. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <event2/event.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/format/blob.h"
#include "validator/checker.h"
#include "validator/checker_int.h"

#define TIMEOUT_S 60

static struct event_base *base;
static struct checker_pool *pool;
static struct event *child, *deadline;
static struct arena arena;
static struct blob_codec *codec;
static struct digest_ctx *sha;

static void
on_child(int fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	checker_pool_reap(pool);
}

static void
on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(void)ctx;
	cr_assert_fail("nothing came");
}

static void
set_up(void)
{
	struct timeval tv = {TIMEOUT_S, 0};
	char program[4096];
	const char *top = getenv("top_builddir");
	struct err e;

	log_init("test_checker", LOG_F_STDERR);
	proc_signals_init();
	base = event_base_new();
	child = proc_signal(base, SIGCHLD, on_child, NULL, &e);
	deadline = evtimer_new(base, on_deadline, NULL);
	event_add(deadline, &tv);
	snprintf(program, sizeof(program), "%s/holdfast-checker",
	    top != NULL ? top : ".");
	pool = checker_pool_new(base, program, 1, &e);
	cr_assert_not_null(pool, "%s", e.msg);
	cr_assert_eq(arena_create(&arena, "test", 512, &e), 0);
	codec = blob_codec_new();
	sha = digest_ctx_new();
}

static void
tear_down(void)
{
	checker_pool_free(&pool);
	event_free(child);
	event_free(deadline);
	event_base_free(base);
	arena_fini(&arena);
	blob_codec_free(codec);
	digest_ctx_free(sha);
}

TestSuite(checker, .init = set_up, .fini = tear_down);

struct answer {
	unsigned int n;
	struct err err;
	uint32_t out_len;
	bool verified;
	enum verify_state state;
	char upid[256];
};

static void
on_verdict(void *arg, const struct checker_verdict *v)
{
	struct answer *a = arg;

	a->n++;
	a->err = v->err;
	a->out_len = v->out_len;
	a->verified = v->verified;
	event_base_loopbreak(base);
}

static void
on_manifest(void *arg, const struct checker_manifest *m)
{
	struct answer *a = arg;

	a->n++;
	a->err = m->err;
	a->out_len = m->out_len;
	a->state = m->verify_state;
	snprintf(a->upid, sizeof(a->upid), "%s", m->upid);
	event_base_loopbreak(base);
}

static void
wait_for(const struct answer *a, unsigned int n)
{
	while (a->n < n)
		event_base_dispatch(base);
}

static struct checker *
take(void)
{
	struct err e;
	struct checker *c = checker_take(pool, &arena, &e);

	cr_assert_not_null(c, "%s", e.msg);
	return c;
}

/* A chunk of n equal bytes in the arena. */
static uint32_t
put_chunk(uint32_t block, char byte, size_t n, struct digest *d)
{
	uint8_t *raw = malloc(n);
	size_t len;

	memset(raw, byte, n);
	digest_of(sha, raw, n, d);
	cr_assert_eq(blob_encode(codec, raw, n, false,
			 arena.base + (size_t)block * ARENA_BLOCK,
			 (512 - block) * (size_t)ARENA_BLOCK, &len, NULL),
	    0);
	free(raw);
	return (uint32_t)len;
}

Test(checker, judges_a_private_copy)
{
	struct checker *c = take();
	struct answer a = {0};
	struct digest d;
	uint32_t len = put_chunk(3, 'a', 100000, &d);
	const uint8_t *copy;

	cr_assert_eq(checker_chunk(c, 3, len, 100000, &d, on_verdict, &a, NULL),
	    0);
	wait_for(&a, 1);
	cr_assert_eq(a.err.code, ERR_OK, "%s", a.err.msg);
	cr_assert(a.verified);
	cr_assert_eq(a.out_len, len);
	memset(arena.base + 3 * ARENA_BLOCK, 0, len);
	copy = checker_at(c, 3, len);
	cr_assert_eq(copy[len - 1], 'a', "what the worker does now is late");
	checker_release(&c);
	cr_assert_null(c);
}

Test(checker, refuses_and_goes_on)
{
	struct checker *c = take();
	struct answer a = {0};
	struct digest d, other;
	uint32_t len = put_chunk(0, 'a', 5000, &d);

	other = d;
	other.b[0] ^= 1;
	checker_chunk(c, 0, len, 5000, &other, on_verdict, &a, NULL);
	wait_for(&a, 1);
	cr_assert_str_eq(a.err.msg, "detected chunk with wrong digest.");
	checker_chunk(c, 0, len, 5000, &d, on_verdict, &a, NULL);
	wait_for(&a, 2);
	cr_assert_eq(a.err.code, ERR_OK);
	checker_release(&c);
}

static const char manifest[] =
    "{\"backup-type\":\"host\",\"backup-id\":\"h\",\"backup-time\":1000,"
    "\"files\":[],\"unprotected\":{\"verify_state\":{\"state\":\"ok\","
    "\"upid\":\"UPID:n:00000001:00000001:00000001:00000001:verify:s:r@pam:"
    "\"}}}";

Test(checker, imports_and_edits_manifests)
{
	static const char upid[] =
	    "UPID:n:00000002:00000001:00000001:00000001:backup:s:r@pam:";
	struct checker_op op = {.op = MANIFEST_OP_VERIFY,
	    .state = VERIFY_STATE_FAILED,
	    .text_len = sizeof(upid) - 1};
	struct checker *c = take();
	struct answer a = {0};
	struct backup_snapshot snap;
	size_t len;
	int fd;

	cr_assert_eq(snapshot_set(&snap, "host", "h", 1000, NULL), 0);
	cr_assert_eq(blob_encode(codec, manifest, sizeof(manifest) - 1, false,
			 arena.base, ARENA_BLOCK, &len, NULL),
	    0);
	cr_assert_eq(checker_manifest_import(c, 0, (uint32_t)len, &snap,
			 on_manifest, &a, NULL),
	    0);
	wait_for(&a, 1);
	cr_assert_eq(a.err.code, ERR_OK, "%s", a.err.msg);
	cr_assert_eq(a.state, VERIFY_STATE_NONE, "only a server may say so");
	fd = io_memfd_data("m",
	    checker_at(c, checker_manifest_block(c), a.out_len), a.out_len,
	    NULL);
	cr_assert_neq(fd, -1);
	memcpy(arena.base, upid, sizeof(upid));
	cr_assert_eq(checker_manifest_op(c, fd, &op, on_manifest, &a, NULL), 0);
	close(fd);
	wait_for(&a, 2);
	cr_assert_eq(a.err.code, ERR_OK, "%s", a.err.msg);
	fd = io_memfd_data("m",
	    checker_at(c, checker_manifest_block(c), a.out_len), a.out_len,
	    NULL);
	op.op = MANIFEST_OP_READ;
	op.text_len = 0;
	cr_assert_eq(checker_manifest_op(c, fd, &op, on_manifest, &a, NULL), 0);
	close(fd);
	wait_for(&a, 3);
	cr_assert_eq(a.state, VERIFY_STATE_FAILED);
	cr_assert_not_null(strstr(a.upid, ":backup:s:r@pam:"));
	cr_assert_eq(a.out_len, 0);
	snap.time++;
	cr_assert_eq(checker_manifest_import(c, 0, (uint32_t)len, &snap,
			 on_manifest, &a, NULL),
	    0);
	wait_for(&a, 4);
	cr_assert_neq(a.err.code, ERR_OK, "a manifest of another snapshot");
	checker_release(&c);
}

Test(checker, judges_stored_files)
{
	struct checker *c;
	struct answer a = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 's', 3000, &d);
	int fd = io_memfd_data("chunk", arena.base, len, NULL);
	struct err e;

	c = checker_take(pool, NULL, &e);
	cr_assert_not_null(c);
	cr_assert_eq(checker_stored(c, fd, 3000, &d, on_verdict, &a, NULL), 0);
	close(fd);
	wait_for(&a, 1);
	cr_assert_eq(a.err.code, ERR_OK, "%s", a.err.msg);
	arena.base[20] ^= 1;
	fd = io_memfd_data("chunk", arena.base, len, NULL);
	cr_assert_eq(checker_stored(c, fd, 3000, &d, on_verdict, &a, NULL), 0);
	close(fd);
	wait_for(&a, 2);
	cr_assert_eq(a.err.code, ERR_CORRUPT);
	checker_release(&c);
}

/* --- lent ones --- */

#define TEST_TO_CHK(handler) NULL
#define TEST_TO_VAL(handler) NULL
#define IPC_ROW_VC(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, TEST_##dir(handler), states, fds)
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto proto = {
    .name = "checker",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION,
};

struct lent {
	struct checker *checker;
	struct arena in;
	struct ipc *ipc;
};

static struct lent
lend(void)
{
	struct ipc_cfg cfg = {
	    .proto = &proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_READY,
	};
	struct lent l;
	struct err e;
	int fds[3];

	l.checker = checker_lend(pool, fds, &e);
	cr_assert_not_null(l.checker, "%s", e.msg);
	cr_expect(checker_is_dead(l.checker), "for us");
	l.ipc = ipc_new(fds[0], &cfg, &e);
	cr_assert_not_null(l.ipc);
	close(fds[1]);
	cr_assert_eq(arena_map(&l.in, fds[2], ARENA_BLOCKS_MAX, 1, &e), 0);
	cr_expect_eq(l.in.nblocks, CHECKER_LENT_BLOCKS);
	return l;
}

static void
give_back(struct lent *l)
{
	ipc_free(&l->ipc);
	arena_fini(&l->in);
	checker_release(&l->checker);
}

/* Asks for chunks from block on, whose digests are d, and waits. */
static int
ask_many(struct lent *l, uint32_t block, const struct digest *d,
    const uint32_t *lens, size_t n, struct ipc_msg *m)
{
	uint8_t list[CHK_MANY * CHK_MANY_CHUNK_LEN];
	uint8_t buf[MSG_MAX_CHK_STORED_MANY];
	struct msg_CHK_STORED_MANY msg = {.block = block, .chunks = list};
	struct wire_w w;
	size_t i;

	wire_w_init(&w, list, sizeof(list));
	for (i = 0; i < n; i++) {
		wire_w_bytes(&w, d[i].b, DIGEST_LEN);
		wire_w_u32(&w, lens[i]);
	}
	msg.chunks_len = (uint32_t)wire_w_len(&w);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_STORED_MANY(&w, &msg);
	cr_assert_eq(ipc_send(l->ipc, MSG_ID_CHK_STORED_MANY, 0, 1, buf,
			 (size_t)wire_w_len(&w), NULL),
	    0);
	return ipc_recv(l->ipc, TIMEOUT_S * 1000, m, NULL);
}

/* A good one, a damaged one, one that was not read, and a good one. */
Test(checker, lent_one_judges_what_its_job_read)
{
	static const uint8_t good[] = {1, 0, 0, 1};
	static const uint32_t sizes[] = {3000, 0, 0, 70000};
	struct lent l = lend();
	struct msg_CHK_VERDICTS v;
	struct digest d[4];
	uint32_t lens[4];
	struct wire_r r;
	struct ipc_msg m;
	size_t i, at = 257 * (size_t)ARENA_BLOCK;

	lens[0] = put_chunk(0, 'a', 3000, &d[0]);
	memcpy(l.in.base + at, arena.base, lens[0]);
	at += lens[0];
	lens[1] = put_chunk(0, 'b', 2000, &d[1]);
	arena.base[100] ^= 1;
	memcpy(l.in.base + at, arena.base, lens[1]);
	at += lens[1];
	d[2] = d[0];
	lens[2] = 0;
	lens[3] = put_chunk(0, 'c', 70000, &d[3]);
	memcpy(l.in.base + at, arena.base, lens[3]);
	cr_assert_eq(ask_many(&l, 257, d, lens, 4, &m), 0);
	cr_assert_eq(m.type, MSG_ID_CHK_VERDICTS);
	cr_assert_eq(msg_get_CHK_VERDICTS(&m.body, &v), 0);
	cr_assert_eq(v.verdicts_len, 4 * CHK_VERDICT_LEN);
	wire_r_init(&r, v.verdicts, v.verdicts_len);
	for (i = 0; i < 4; i++) {
		cr_expect_eq(wire_r_u8(&r), good[i], "chunk %zu", i);
		cr_expect_eq(wire_r_u8(&r), BLOB_PLAIN);
		cr_expect_eq(wire_r_u32(&r), good[i] ? lens[i] : 0);
		cr_expect_eq(wire_r_u32(&r), sizes[i]);
	}
	give_back(&l);
}

Test(checker, lent_one_stays_in_its_arena)
{
	static const struct {
		uint32_t block, lens[2];
	} tries[] = {
	    {CHECKER_LENT_BLOCKS, {1, 0}},
	    {CHECKER_LENT_BLOCKS - 1, {ARENA_BLOCK + 1, 0}},
	    {CHECKER_LENT_BLOCKS - 1, {ARENA_BLOCK, 1}},
	    {0, {1, UINT32_MAX}},
	};
	struct digest d[2] = {0};
	struct ipc_msg m;
	struct lent l;
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		l = lend();
		cr_expect_eq(ask_many(&l, tries[i].block, d, tries[i].lens, 2,
				 &m),
		    -1);
		give_back(&l);
	}
}

Test(checker, death_fails_the_first_and_excuses_the_rest)
{
	struct checker *c = take();
	struct answer a = {0}, b = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 'x', 1000, &d);

	kill(c->pid, SIGSTOP);
	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	checker_chunk(c, 0, len, 1000, &d, on_verdict, &b, NULL);
	kill(c->pid, SIGKILL);
	wait_for(&b, 1);
	cr_assert_eq(a.n, 1);
	cr_assert_eq(a.err.code, ERR_ABORTED);
	cr_assert_eq(b.err.code, ERR_UNAVAILABLE);
	cr_assert(checker_is_dead(c));
	cr_assert_eq(checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL),
	    -1);
	checker_release(&c);
	cr_assert_eq(checker_pool_busy(pool), 0);
	c = take();
	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	wait_for(&a, 2);
	cr_assert_eq(a.err.code, ERR_OK);
	checker_release(&c);
}

Test(checker, released_ones_do_not_answer)
{
	struct checker *c = take(), *other = take();
	struct answer a = {0}, b = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 'x', 1000, &d);

	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	checker_release(&c);
	checker_chunk(other, 0, len, 1000, &d, on_verdict, &b, NULL);
	wait_for(&b, 1);
	cr_assert_eq(a.n, 0);
	checker_release(&other);
}

Test(checker, held_arena_outlives_the_process)
{
	struct checker *c = take(), *copy = c;
	struct answer a = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 'h', 1000, &d);

	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	wait_for(&a, 1);
	checker_hold(c);
	checker_release(&c);
	while (copy->pid != 0)
		event_base_loop(base, EVLOOP_ONCE);
	cr_assert_eq(checker_at(copy, 0, len)[len - 1], 'h');
	checker_unhold(copy);
}

/* Lets go of it and waits until its process is gone. */
static void
release_and_wait(struct checker *c)
{
	struct checker *copy = c;

	checker_hold(c);
	checker_release(&c);
	while (copy->pid != 0)
		event_base_loop(base, EVLOOP_ONCE);
}

Test(checker, released_one_ends_by_itself)
{
	struct checker *c = take();
	struct answer a = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 'e', 1000, &d);

	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	release_and_wait(c);
	cr_assert_not(c->killed);
	cr_assert_eq(a.n, 0);
	checker_unhold(c);
}

Test(checker, released_one_that_does_not_end_is_killed)
{
	struct checker *c = take();

	kill(c->pid, SIGSTOP);
	release_and_wait(c);
	cr_assert(c->killed);
	checker_unhold(c);
}

Test(checker, pool_ends_all_in_time)
{
	struct checker *c = take(), *stopped = take();
	uint64_t started = io_monotonic_ms();

	kill(stopped->pid, SIGSTOP);
	checker_pool_stop(pool);
	checker_release(&c);
	checker_release(&stopped);
	checker_pool_free(&pool);
	cr_assert_geq(io_monotonic_ms() - started, CHECKER_END_MS);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "no child is left");
}

Test(checker, spares_are_replaced)
{
	pid_t pid;

	while (checker_pool_spare(pool) == 0)
		event_base_loop(base, EVLOOP_ONCE);
	pid = TAILQ_FIRST(&pool->spare)->pid;
	kill(pid, SIGKILL);
	while (
	    TAILQ_EMPTY(&pool->spare) || TAILQ_FIRST(&pool->spare)->pid == pid)
		event_base_loop(base, EVLOOP_ONCE);
	cr_assert_eq(checker_pool_spare(pool), 1);
}

Test(checker, stop_fails_all)
{
	struct checker *c = take();
	struct answer a = {0};
	struct digest d;
	uint32_t len = put_chunk(0, 'x', 1000, &d);
	struct err e;

	checker_chunk(c, 0, len, 1000, &d, on_verdict, &a, NULL);
	checker_pool_stop(pool);
	cr_assert_eq(a.n, 1);
	cr_assert_neq(a.err.code, ERR_OK);
	checker_release(&c);
	cr_assert_null(checker_take(pool, NULL, &e));
}
