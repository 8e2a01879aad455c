/*
 * The validator's side of its checkers: requests and answers.
 * Runs in the validator's loop.  A checker works on hostile bytes and may
 * have been taken over by them: its messages are checked like any peer's, a
 * reply counts only for a request that is open, and a length only if it fits
 * the place that we gave.
 */
#include "config.h"

#include "validator/checker_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "common/arena.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/proc.h"
#include "common/format/blob.h"

/* --- requests and replies --- */

static void
checker_arm(struct checker *c)
{
	struct timeval tv = {CHECKER_TIMEOUT_MS / 1000, 0};

	if (TAILQ_EMPTY(&c->requests))
		event_del(c->timer);
	else
		event_add(c->timer, &tv);
}

static struct request *
checker_take_request(struct checker *c, uint64_t seq, uint16_t reply)
{
	struct request *r;

	TAILQ_FOREACH(r, &c->requests, entry) {
		if (r->seq == seq && r->reply == reply) {
			TAILQ_REMOVE(&c->requests, r, entry);
			checker_arm(c);
			return r;
		}
	}
	return NULL;
}

static void
request_finish(struct request *r, const struct checker_verdict *v,
    const struct checker_manifest *m)
{
	if (r->verdict_fn != NULL)
		r->verdict_fn(r->arg, v);
	else
		r->manifest_fn(r->arg, m);
	free(r);
}

static void
request_fail(struct request *r, enum err_code code, const char *text)
{
	struct checker_verdict v = {0};
	struct checker_manifest m = {.upid = ""};

	err_set(&v.err, code, "%s", text);
	m.err = v.err;
	request_finish(r, &v, &m);
}

/* The requests' callbacks may release the checker; the list is ours by then. */
void
checker_die(struct checker *c, const char *why)
{
	struct request_list list = TAILQ_HEAD_INITIALIZER(list);
	struct request *r;
	enum err_code code = ERR_ABORTED;

	if (!c->pool->stopped)
		log_warn("checker", "%s pid=%d requests=%s", why, (int)c->pid,
		    TAILQ_EMPTY(&c->requests) ? "none" : "some");
	c->dead = true;
	event_del(c->timer);
	ipc_free(&c->ipc);
	if (!c->pool->stopped)
		checker_kill(c);
	TAILQ_CONCAT(&list, &c->requests, entry);
	while ((r = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, r, entry);
		request_fail(r, code,
		    code == ERR_ABORTED ? "checking the data ended unexpectedly"
					: "the checker ended");
		code = ERR_UNAVAILABLE;
	}
}

static int
val_on_verdict(void *ctx, struct ipc_msg *m)
{
	struct checker *c = ctx;
	struct msg_CHK_VERDICT msg;
	struct checker_verdict v = {0};
	struct request *r;

	if (msg_get_CHK_VERDICT(&m->body, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	r = checker_take_request(c, m->seq, MSG_ID_CHK_VERDICT);
	if (r == NULL)
		return err_set(&m->err, ERR_PROTO, "answer without a request");
	if (msg.code != ERR_OK) {
		err_set(&v.err, err_code_from_wire(msg.code), "%s", msg.text);
	} else if (msg.out_len > r->len_max || msg.kind >= BLOB_KIND_COUNT) {
		request_fail(r, ERR_ABORTED, "checking the data failed");
		return err_set(&m->err, ERR_PROTO, "impossible verdict");
	} else {
		v.kind = msg.kind;
		v.verified = msg.verified != 0;
		v.out_len = msg.out_len;
		v.size = msg.size;
	}
	request_finish(r, &v, NULL);
	return 0;
}

static int
val_on_manifested(void *ctx, struct ipc_msg *m)
{
	struct checker *c = ctx;
	struct msg_CHK_MANIFESTED msg;
	struct checker_manifest r = {0};
	struct request *req;

	if (msg_get_CHK_MANIFESTED(&m->body, &msg) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	req = checker_take_request(c, m->seq, MSG_ID_CHK_MANIFESTED);
	if (req == NULL)
		return err_set(&m->err, ERR_PROTO, "answer without a request");
	r.upid = "";
	if (msg.code != ERR_OK) {
		err_set(&r.err, err_code_from_wire(msg.code), "%s", msg.text);
	} else if (msg.out_len > req->len_max ||
	    msg.verify_state > VERIFY_STATE_FAILED) {
		request_fail(req, ERR_ABORTED, "checking the manifest failed");
		return err_set(&m->err, ERR_PROTO, "impossible result");
	} else {
		r.out_len = msg.out_len;
		r.verify_state = (enum verify_state)msg.verify_state;
		r.upid = msg.upid;
	}
	request_finish(req, NULL, &r);
	return 0;
}

/* Of what only jobs ask. */
static int
val_on_verdicts(void *ctx, struct ipc_msg *m)
{
	(void)ctx;
	return err_set(&m->err, ERR_PROTO, "verdicts without a question");
}

#define VAL_TO_CHK(handler) NULL
#define VAL_TO_VAL(handler) val_on_##handler
#define IPC_ROW_VC(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, VAL_##dir(handler), states, fds)
static const struct ipc_row checker_rows[] = {
#include "common/msg_rows.h"
};
const struct ipc_proto checker_proto = {
    .name = "checker",
    .rows = checker_rows,
    .nrows = sizeof(checker_rows) / sizeof(checker_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION,
};

/* --- requests --- */

static int
checker_ask(struct checker *c, uint16_t type, const void *buf,
    const struct wire_w *w, int fd, struct request *r, struct err *e)
{
	ssize_t len = wire_w_len(w);

	r->seq = ++c->seq;
	if (c->dead) {
		free(r);
		return err_set(e, ERR_UNAVAILABLE, "the checker ended");
	}
	if (len == -1) {
		free(r);
		return err_set(e, ERR_PARAM, "text is too long");
	}
	if (ipc_send_fds(c->ipc, type, 0, r->seq, buf, (size_t)len, &fd,
		fd == -1 ? 0 : 1, e) == -1) {
		free(r);
		/* Its end is known here before the loop tells. */
		return ipc_is_open(c->ipc)
		    ? -1
		    : err_set(e, ERR_UNAVAILABLE, "the checker ended");
	}
	TAILQ_INSERT_TAIL(&c->requests, r, entry);
	if (TAILQ_FIRST(&c->requests) == r)
		checker_arm(c);
	return 0;
}

static struct request *
request_new(uint16_t reply, uint32_t len_max, void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->reply = reply;
	r->len_max = len_max;
	r->arg = arg;
	return r;
}

int
checker_chunk(struct checker *c, uint32_t block, uint32_t len, uint32_t size,
    const struct digest *digest, checker_verdict_fn *fn, void *arg,
    struct err *e)
{
	struct msg_CHK_CHUNK m = {.block = block, .len = len, .size = size};
	struct request *r = request_new(MSG_ID_CHK_VERDICT, len, arg);
	uint8_t buf[MSG_MAX_CHK_CHUNK];
	struct wire_w w;

	memcpy(m.digest, digest->b, DIGEST_LEN);
	r->verdict_fn = fn;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_CHUNK(&w, &m);
	return checker_ask(c, MSG_ID_CHK_CHUNK, buf, &w, -1, r, e);
}

int
checker_blob(struct checker *c, uint32_t block, uint32_t len,
    checker_verdict_fn *fn, void *arg, struct err *e)
{
	struct msg_CHK_BLOB m = {.block = block, .len = len};
	struct request *r = request_new(MSG_ID_CHK_VERDICT, len, arg);
	uint8_t buf[MSG_MAX_CHK_BLOB];
	struct wire_w w;

	r->verdict_fn = fn;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_BLOB(&w, &m);
	return checker_ask(c, MSG_ID_CHK_BLOB, buf, &w, -1, r, e);
}

int
checker_stored(struct checker *c, int fd, uint32_t size,
    const struct digest *digest, checker_verdict_fn *fn, void *arg,
    struct err *e)
{
	struct msg_CHK_STORED m = {.size = size};
	struct request *r =
	    request_new(MSG_ID_CHK_VERDICT, BLOB_ENCODED_MAX, arg);
	uint8_t buf[MSG_MAX_CHK_STORED];
	struct wire_w w;

	memcpy(m.digest, digest->b, DIGEST_LEN);
	r->verdict_fn = fn;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_STORED(&w, &m);
	return checker_ask(c, MSG_ID_CHK_STORED, buf, &w, fd, r, e);
}

int
checker_manifest_import(struct checker *c, uint32_t block, uint32_t len,
    const struct backup_snapshot *snapshot, checker_manifest_fn *fn, void *arg,
    struct err *e)
{
	struct msg_CHK_MANIFEST m = {
	    .block = block,
	    .len = len,
	    .out_block = c->in_blocks,
	    .type = (uint8_t)snapshot->group.type,
	    .time = snapshot->time,
	};
	struct request *r = request_new(MSG_ID_CHK_MANIFESTED,
	    CHECKER_MANIFEST_BLOCKS * ARENA_BLOCK, arg);
	uint8_t buf[MSG_MAX_CHK_MANIFEST];
	struct wire_w w;

	memcpy(m.id, snapshot->group.id, sizeof(m.id));
	r->manifest_fn = fn;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_MANIFEST(&w, &m);
	return checker_ask(c, MSG_ID_CHK_MANIFEST, buf, &w, -1, r, e);
}

int
checker_manifest_op(struct checker *c, int fd, const struct checker_op *op,
    checker_manifest_fn *fn, void *arg, struct err *e)
{
	struct msg_CHK_FILE m = {
	    .op = op->op,
	    .out_block = c->in_blocks,
	    .state = (uint8_t)op->state,
	    .n0 = op->stats.count,
	    .n1 = op->stats.size,
	    .n2 = op->stats.compressed_size,
	    .n3 = op->stats.duplicates,
	    .text_len = op->text_len,
	};
	struct request *r = request_new(MSG_ID_CHK_MANIFESTED,
	    CHECKER_MANIFEST_BLOCKS * ARENA_BLOCK, arg);
	uint8_t buf[MSG_MAX_CHK_FILE];
	struct wire_w w;

	r->manifest_fn = fn;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_FILE(&w, &m);
	return checker_ask(c, MSG_ID_CHK_FILE, buf, &w, fd, r, e);
}
