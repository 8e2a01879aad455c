/*
 * APPEND: entries of a growing index.  Runs in the validator's loop, the
 * work in the session's strand.  The worker names a source for each chunk; the
 * validator looks up its own record there (the deposit log, an index of the
 * base), compares the digest and takes the length from it, so that a worker
 * cannot refer to a chunk that its session does not own.
 */
#include "config.h"

#include "validator/session_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/ipc.h"
#include "common/mem.h"
#include "validator/peer.h"
#include "validator/reuse.h"
#include "validator/store/deposit_log.h"
#include "validator/store/layout.h"
#include "validator/task.h"
#include "validator/validator.h"

struct append_entry {
	uint64_t start;
	uint32_t source;
	uint32_t position;
	struct digest digest;
};

struct appending {
	struct session_req req;
	struct session_writer *w;
	uint64_t first;
	uint32_t count;
	uint32_t nfiles; /* of the session when it was asked */
	uint64_t now;    /* entries of the writer afterwards */
	uint64_t end;
	struct index_append *out;
	struct index_entry *read; /* room for one run of base entries */
	struct append_entry entries[];
};

static int
no_such_chunk(const struct append_entry *a, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_to_hex(&a->digest, hex);
	return err_set(e, ERR_INVALID, "no such chunk %s", hex);
}

static int
resolve_deposit(struct appending *ap, uint32_t i, struct err *e)
{
	const struct append_entry *a = &ap->entries[i];
	struct digest d;
	uint32_t size;

	if (deposit_log_get(ap->req.s->deposits_fd, a->position, &d, &size,
		e) == -1)
		return e->code == ERR_NOT_FOUND ? no_such_chunk(a, e) : -1;
	if (!digest_equal(&d, &a->digest))
		return no_such_chunk(a, e);
	ap->out[i].length = size;
	return 0;
}

/* How many entries from i on follow each other in the same base file, so that
 * one read serves them. */
static uint32_t
run_length(const struct appending *ap, uint32_t i)
{
	const struct append_entry *a = &ap->entries[i];
	uint32_t n = 1;

	while (i + n < ap->count && a[n].source == a->source &&
	    a[n].position == a->position + n)
		n++;
	return n;
}

/* Resolves a run; the number that are right, and e if not all are. */
static uint32_t
resolve_base(struct appending *ap, uint32_t i, uint32_t n, struct err *e)
{
	const struct append_entry *a = &ap->entries[i];
	const struct session_file *f;
	uint32_t k;

	f = a->source < ap->nfiles ? ap->req.s->files[a->source] : NULL;
	if (f == NULL || f->referenced.words == NULL ||
	    a->position >= f->view.count || n > f->view.count - a->position) {
		no_such_chunk(a, e);
		return 0;
	}
	if (index_get_entries(&f->view, a->position, n, ap->read, e) == -1)
		return 0;
	for (k = 0; k < n; k++) {
		if (!digest_equal(&ap->read[k].digest, &a[k].digest)) {
			no_such_chunk(&a[k], e);
			return k;
		}
		ap->out[i + k].length =
		    (uint32_t)(ap->read[k].end - ap->read[k].start);
	}
	return n;
}

/* The entries in front of a failing one stay appended. */
static void
append_run(struct store_job *job)
{
	struct appending *ap = (struct appending *)job;
	struct err *e = &ap->req.err, e2;
	uint32_t i = 0, n, good;
	int rv = 0;

	if (ap->count > 0)
		rv = store_check_space(ap->req.s->vs->store,
		    ap->count * sizeof(struct index_append), e);
	while (i < ap->count && rv == 0) {
		if (ap->entries[i].source == IPC_SOURCE_DEPOSIT) {
			rv = resolve_deposit(ap, i, e);
			i += rv == 0;
			continue;
		}
		n = run_length(ap, i);
		good = resolve_base(ap, i, n, e);
		rv = good == n ? 0 : -1;
		i += good;
	}
	if (ap->count > 0 &&
	    index_writer_append(ap->w->writer, ap->first, ap->out, i, &e2) ==
		-1) {
		*e = e2;
		rv = -1;
	}
	ap->now = index_writer_count(ap->w->writer);
	ap->end = index_writer_end(ap->w->writer);
	ap->req.rv = rv;
}

/* What was appended refers to the base from now on. */
static void
append_reference(struct appending *ap)
{
	struct session *s = ap->req.s;
	uint64_t done = ap->now > ap->first ? ap->now - ap->first : 0;
	uint32_t i;

	for (i = 0; i < ap->count && i < done; i++)
		if (ap->entries[i].source != IPC_SOURCE_DEPOSIT &&
		    session_is_open(s))
			reuse_reference(s->reuse, ap->entries[i].source,
			    ap->entries[i].position, &ap->entries[i].digest);
}

static void
append_done(struct store_job *job)
{
	struct appending *ap = (struct appending *)job;
	struct session *s = ap->req.s;
	struct msg_APPENDED m = {.count = ap->now, .end = ap->end};

	if (session_is_open(s))
		append_reference(ap);
	if (!session_is_open(s)) {
		session_refuses(s, ap->req.seq);
	} else if (ap->req.rv == -1) {
		session_fail(s, ap->req.seq, &ap->req.err);
	} else {
		if (s->flags & SESSION_FLAG_DEBUG && ap->count > 0)
			session_log_line(s, "%s_append %u chunks",
			    ap->w->kind == INDEX_FIXED ? "fixed" : "dynamic",
			    ap->count);
		if (s->peer != NULL)
			PEER_SEND(s->peer, APPENDED, s->id, ap->req.seq, &m,
			    -1);
	}
	session_req_end(&ap->req);
	free(ap->out);
	free(ap->read);
	free(ap);
}

static struct appending *
append_new(const struct msg_APPEND *m)
{
	struct appending *ap =
	    xcalloc(1, sizeof(*ap) + m->count * sizeof(ap->entries[0]));
	struct wire_r r;
	uint32_t i;

	ap->first = m->first;
	ap->count = m->count;
	ap->out = xcalloc(m->count + 1, sizeof(*ap->out));
	ap->read = xcalloc(m->count + 1, sizeof(*ap->read));
	wire_r_init(&r, m->entries, m->entries_len);
	for (i = 0; i < m->count; i++) {
		ap->entries[i].start = wire_r_u64(&r);
		ap->entries[i].source = wire_r_u32(&r);
		ap->entries[i].position = wire_r_u32(&r);
		wire_r_copy(&r, ap->entries[i].digest.b, DIGEST_LEN);
		ap->out[i].start = ap->entries[i].start;
		ap->out[i].digest = ap->entries[i].digest;
	}
	return ap;
}

int
val_on_append(void *ctx, struct ipc_msg *m)
{
	struct session *s = peer_session_of(ctx, m);
	struct msg_APPEND msg;
	struct session_writer *w;
	struct appending *ap;
	struct err e;

	if (s == NULL || PEER_GET(m, APPEND, &msg) == -1)
		return -1;
	if (msg.count > IPC_APPEND_ENTRIES_MAX ||
	    msg.entries_len != msg.count * IPC_APPEND_ENTRY_LEN)
		return err_set(&m->err, ERR_PROTO, "malformed entries");
	if (session_refuses_change(s, m->seq))
		return 0;
	w = session_writer_get(s, msg.writer);
	if (w == NULL || !w->ready)
		return err_set(&m->err, ERR_PROTO, "append to no writer");
	if (w->closed) {
		err_set(&e, ERR_BAD_STATE, "%s writer '%u' not registered",
		    w->kind == INDEX_FIXED ? "fixed" : "dynamic", w->number);
		session_fail(s, m->seq, &e);
		return 0;
	}
	ap = append_new(&msg);
	if (session_change_begin(s, m, &ap->req) == -1) {
		free(ap->out);
		free(ap->read);
		free(ap);
		return -1;
	}
	ap->w = w;
	ap->nfiles = s->nfiles;
	session_req_submit(&ap->req, &s->strand, append_run, append_done);
	return 0;
}
