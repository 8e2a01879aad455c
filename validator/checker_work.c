/*
 * A checker's answers: copy once from the arena or a stored file, judge the
 * copy, say what it is.  Runs in holdfast-checker, sealed.  Every byte that
 * is judged is a client's; the judge bounds what it may cost.
 */
#include "config.h"

#include "validator/checker_work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/arena.h"
#include "common/io.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "common/msg.h"
#include "common/records.h"
#include "validator/judge.h"

struct checker_work {
	struct ipc *ipc;
	struct arena in;
	struct arena out;
	struct judge *judge;
	uint8_t *file; /* BLOB_ENCODED_MAX bytes, for stored files */
	uint8_t *list; /* records of the last manifest's files */
	void (*closed)(void *ctx, const struct err *why);
	void *ctx;
};

static void
work_closed(void *ctx, const struct err *why)
{
	struct checker_work *w = ctx;

	w->closed(w->ctx, why);
}

static int
work_send(struct ipc_msg *m, uint16_t type, const void *buf,
    const struct wire_w *out)
{
	ssize_t len = wire_w_len(out);

	if (len == -1)
		return err_set(&m->err, ERR_INTERNAL, "reply does not fit");
	return ipc_send(m->ipc, type, m->session, m->seq, buf, (size_t)len,
	    &m->err);
}

static int
work_send_verdict(struct ipc_msg *m, struct msg_CHK_VERDICT *v, int rv,
    const struct err *e)
{
	uint8_t buf[MSG_MAX_CHK_VERDICT];
	struct wire_w out;

	if (rv == -1) {
		memset(v, 0, sizeof(*v));
		v->code = (uint16_t)e->code;
		snprintf(v->text, sizeof(v->text), "%s", e->msg);
	}
	wire_w_init(&out, buf, sizeof(buf));
	msg_put_CHK_VERDICT(&out, v);
	return work_send(m, MSG_ID_CHK_VERDICT, buf, &out);
}

static int
work_send_manifest(struct checker_work *w, struct ipc_msg *m,
    uint32_t out_block, const struct judge_manifest *jm, int rv, struct err *e)
{
	struct msg_CHK_MANIFESTED r = {0};
	uint8_t buf[MSG_MAX_CHK_MANIFESTED];
	struct wire_w out;
	uint8_t *dst;

	if (rv == 0 && jm->blob_len > 0) {
		dst = arena_at(&w->out, out_block, jm->blob_len);
		if (dst != NULL)
			memcpy(dst, jm->blob, jm->blob_len);
		else
			rv = err_set(e, ERR_LIMIT, "manifest is too long");
		r.out_len = (uint32_t)jm->blob_len;
	}
	if (rv == 0) {
		const struct manifest_verify *v =
		    manifest_verify_state(jm->manifest);

		r.verify_state = (uint8_t)v->state;
		snprintf(r.upid, sizeof(r.upid), "%.*s", IPC_UPID_MAX, v->upid);
	} else {
		r.out_len = 0;
		r.code = (uint16_t)e->code;
		snprintf(r.text, sizeof(r.text), "%s", e->msg);
	}
	wire_w_init(&out, buf, sizeof(buf));
	msg_put_CHK_MANIFESTED(&out, &r);
	return work_send(m, MSG_ID_CHK_MANIFESTED, buf, &out);
}

/* An upload, and where its private copy goes: same blocks of our own arena. */
static int
work_blocks(struct checker_work *w, struct ipc_msg *m, uint32_t block,
    uint32_t len, uint8_t **dst_out, const uint8_t **src_out)
{
	*src_out = arena_at(&w->in, block, len);
	*dst_out = arena_at(&w->out, block, len);
	if (*src_out == NULL || *dst_out == NULL)
		return err_set(&m->err, ERR_PROTO,
		    "blocks outside of the arena");
	return 0;
}

static uint8_t *
work_copy(struct checker_work *w, struct ipc_msg *m, uint32_t block,
    uint32_t len)
{
	const uint8_t *src;
	uint8_t *dst;

	if (work_blocks(w, m, block, len, &dst, &src) == -1)
		return NULL;
	memcpy(dst, src, len);
	return dst;
}

/* A stored file by descriptor, whole, at most one blob long. */
static int
work_read_file(struct checker_work *w, int fd, size_t *len_out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_errno(e, errno, "cannot stat the file");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CORRUPT, "not a regular file");
	if (st.st_size > (off_t)BLOB_ENCODED_MAX)
		return err_set(e, ERR_CORRUPT, "blob is too long (%lld bytes)",
		    (long long)st.st_size);
	*len_out = (size_t)st.st_size;
	return io_pread_full(fd, w->file, *len_out, 0, e);
}

static int
chk_on_arenas(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_ARENAS a;
	int in = m->fds[0], out = m->fds[1];

	m->fds[0] = m->fds[1] = -1;
	if (arena_map(&w->in, in, ARENA_BLOCKS_MAX, 0, &m->err) == -1) {
		io_close(&out);
		return -1;
	}
	if (arena_map(&w->out, out, ARENA_BLOCKS_MAX, 1, &m->err) == -1)
		return -1;
	arena_fd_close(&w->in);
	arena_fd_close(&w->out);
	if (msg_get_CHK_ARENAS(&m->body, &a) == -1 ||
	    a.in_blocks != w->in.nblocks || a.out_blocks != w->out.nblocks)
		return err_set(&m->err, ERR_PROTO, "arenas of another size");
	ipc_set_state(m->ipc, IPC_S_READY);
	return 0;
}

static int
chk_on_chunk(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_CHUNK c;
	struct msg_CHK_VERDICT v = {0};
	struct judge_chunk jc;
	struct digest d;
	struct err e;
	const uint8_t *src;
	uint8_t *dst;
	int rv;

	if (msg_get_CHK_CHUNK(&m->body, &c) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	if (work_blocks(w, m, c.block, c.len, &dst, &src) == -1)
		return -1;
	memcpy(d.b, c.digest, DIGEST_LEN);
	rv = judge_chunk(w->judge, dst, src, c.len, &d, c.size, &jc, &e);
	if (rv == 0) {
		v.kind = (uint8_t)jc.kind;
		v.verified = jc.verified;
		v.out_len = jc.encoded_len;
		v.size = c.size;
	}
	return work_send_verdict(m, &v, rv, &e);
}

static int
chk_on_blob(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_BLOB b;
	struct msg_CHK_VERDICT v = {0};
	struct judge_blob jb;
	struct err e;
	uint8_t *data;
	int rv;

	if (msg_get_CHK_BLOB(&m->body, &b) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	if ((data = work_copy(w, m, b.block, b.len)) == NULL)
		return -1;
	rv = judge_blob(w->judge, data, b.len, &jb, &e);
	if (rv == 0) {
		v.kind = (uint8_t)jb.kind;
		v.out_len = jb.encoded_len;
	}
	return work_send_verdict(m, &v, rv, &e);
}

static int
chk_on_manifest(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_MANIFEST c;
	struct backup_snapshot snap;
	struct judge_manifest jm;
	struct err e;
	uint8_t *data;
	int rv;

	if (msg_get_CHK_MANIFEST(&m->body, &c) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	if (c.type >= BACKUP_TYPE_COUNT ||
	    snapshot_set(&snap, backup_type_str((enum backup_type)c.type), c.id,
		c.time, &m->err) == -1)
		return err_set(&m->err, ERR_PROTO, "no such snapshot");
	if ((data = work_copy(w, m, c.block, c.len)) == NULL)
		return -1;
	rv = judge_manifest_import(w->judge, data, c.len, &snap, &jm, &e);
	return work_send_manifest(w, m, c.out_block, &jm, rv, &e);
}

/* The files of a manifest as records; in the end w->list has them. */
static int
work_manifest_files(struct checker_work *w, struct judge_manifest *jm,
    struct err *e)
{
	size_t i, n = manifest_file_count(jm->manifest);
	const struct manifest_file *f;
	struct rec_ARCHIVE rec;
	struct wire_w out;

	free(w->list);
	w->list = xmalloc(n * REC_MAX_ARCHIVE + 1);
	wire_w_init(&out, w->list, n * REC_MAX_ARCHIVE + 1);
	for (i = 0; i < n; i++) {
		f = manifest_get_file(jm->manifest, i);
		memset(&rec, 0, sizeof(rec));
		snprintf(rec.name, sizeof(rec.name), "%s", f->name);
		rec.crypt_mode = (uint8_t)f->crypt_mode;
		rec.has_csum = f->has_csum;
		memcpy(rec.csum, f->csum.b, DIGEST_LEN);
		rec.size = f->size;
		if (rec_put_ARCHIVE(&out, &rec) == -1)
			return err_set(e, ERR_INTERNAL,
			    "cannot list the files of the manifest");
	}
	jm->blob = w->list;
	jm->blob_len = (size_t)wire_w_len(&out);
	return 0;
}

/* A copy of what the arena begins with; NULL and e if that is no text. */
static char *
work_text(struct checker_work *w, uint32_t len, struct err *e)
{
	const uint8_t *src = arena_at(&w->in, 0, len);
	char *text;

	if (len > 0 && src == NULL) {
		err_set(e, ERR_PROTO, "text outside of the arena");
		return NULL;
	}
	text = xcalloc(1, (size_t)len + 1);
	if (len > 0)
		memcpy(text, src, len);
	if (strlen(text) == len)
		return text;
	free(text);
	err_set(e, ERR_PARAM, "text contains a zero byte");
	return NULL;
}

static int
work_manifest_op(struct checker_work *w, const struct msg_CHK_FILE *f,
    size_t len, struct judge_manifest *jm, struct err *e)
{
	struct manifest_stats stats = {f->n0, f->n1, f->n2, f->n3};
	struct backup_snapshot snap;
	char *text;
	int rv;

	if (f->op == MANIFEST_OP_READ)
		return judge_manifest_read(w->judge, w->file, len, jm, e);
	if (f->op == MANIFEST_OP_FILES) {
		if (judge_manifest_read(w->judge, w->file, len, jm, e) == -1)
			return -1;
		return work_manifest_files(w, jm, e);
	}
	if (f->op == MANIFEST_OP_STATS) {
		if (judge_manifest_read(w->judge, w->file, len, jm, e) == -1)
			return -1;
		snap = jm->snapshot;
		return judge_manifest_finish(w->judge, w->file, len, &snap,
		    &stats, jm, e);
	}
	if ((text = work_text(w, f->text_len, e)) == NULL)
		return -1;
	if (f->op == MANIFEST_OP_VERIFY)
		rv = judge_manifest_mark(w->judge, w->file, len,
		    (enum verify_state)f->state, text, jm, e);
	else if (f->op == MANIFEST_OP_NOTES)
		rv = judge_manifest_notes(w->judge, w->file, len, text, jm, e);
	else
		rv = err_set(e, ERR_PROTO, "unknown operation %u", f->op);
	free(text);
	return rv;
}

static int
chk_on_file(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_FILE f;
	struct judge_manifest jm = {0};
	struct err e;
	size_t len = 0;
	int rv;

	if (msg_get_CHK_FILE(&m->body, &f) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	rv = work_read_file(w, m->fds[0], &len, &e);
	if (rv == 0)
		rv = work_manifest_op(w, &f, len, &jm, &e);
	return work_send_manifest(w, m, f.out_block, &jm, rv, &e);
}

static int
chk_on_stored(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_STORED s;
	struct msg_CHK_VERDICT v = {0};
	struct judge_chunk jc;
	struct digest d;
	struct err e;
	size_t len = 0;
	int rv;

	if (msg_get_CHK_STORED(&m->body, &s) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	memcpy(d.b, s.digest, DIGEST_LEN);
	rv = work_read_file(w, m->fds[0], &len, &e);
	if (rv == 0)
		rv = judge_stored_chunk(w->judge, w->file, len, &d, s.size, &jc,
		    &e);
	if (rv == 0) {
		v.kind = (uint8_t)jc.kind;
		v.verified = jc.verified;
		v.out_len = jc.encoded_len;
		v.size = jc.size;
	}
	return work_send_verdict(m, &v, rv, &e);
}

/* One bad chunk among them is no reason to fail the others. */
static int
chk_on_stored_many(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_STORED_MANY s;
	uint8_t buf[MSG_MAX_CHK_VERDICTS], list[CHK_MANY * CHK_VERDICT_LEN];
	struct msg_CHK_VERDICTS v = {.verdicts = list};
	struct judge_chunk jc;
	const uint8_t *src;
	struct wire_r in;
	struct wire_w out;
	struct digest d;
	size_t len, at = 0;
	bool good;

	if (msg_get_CHK_STORED_MANY(&m->body, &s) == -1 ||
	    s.chunks_len % CHK_MANY_CHUNK_LEN != 0)
		return err_set(&m->err, ERR_PROTO, "bad message");
	wire_r_init(&in, s.chunks, s.chunks_len);
	wire_w_init(&out, list, sizeof(list));
	while (wire_r_left(&in) > 0) {
		wire_r_copy(&in, d.b, DIGEST_LEN);
		len = wire_r_u32(&in);
		jc = (struct judge_chunk){0};
		good = false;
		if (len > 0) {
			src = arena_at(&w->in, s.block, at + len);
			if (src == NULL)
				return err_set(&m->err, ERR_PROTO,
				    "chunk outside of the arena");
			good = judge_stored_chunk(w->judge, src + at, len, &d,
				   0, &jc, NULL) == 0;
			at += len;
		}
		wire_w_u8(&out, good);
		wire_w_u8(&out, (uint8_t)jc.kind);
		wire_w_u32(&out, jc.encoded_len);
		wire_w_u32(&out, jc.size);
	}
	v.verdicts_len = (uint32_t)wire_w_len(&out);
	wire_w_init(&out, buf, sizeof(buf));
	msg_put_CHK_VERDICTS(&out, &v);
	return work_send(m, MSG_ID_CHK_VERDICTS, buf, &out);
}

static int
chk_on_stored_blob(void *ctx, struct ipc_msg *m)
{
	struct checker_work *w = ctx;
	struct msg_CHK_STORED_BLOB s;
	struct msg_CHK_VERDICT v = {0};
	struct judge_blob jb;
	struct digest csum;
	struct err e;
	size_t len = 0;
	int rv;

	if (msg_get_CHK_STORED_BLOB(&m->body, &s) == -1)
		return err_set(&m->err, ERR_PROTO, "bad message");
	memcpy(csum.b, s.csum, DIGEST_LEN);
	rv = work_read_file(w, m->fds[0], &len, &e);
	if (rv == 0)
		rv = judge_stored_blob(w->judge, w->file, len, &csum, s.size,
		    &jb, &e);
	if (rv == 0) {
		v.kind = (uint8_t)jb.kind;
		v.out_len = jb.encoded_len;
	}
	return work_send_verdict(m, &v, rv, &e);
}

#define CHK_TO_CHK(handler) chk_on_##handler
#define CHK_TO_VAL(handler) NULL
#define IPC_ROW_VC(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, CHK_##dir(handler), states, fds)
static const struct ipc_row checker_rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto checker_proto = {
    .name = "validator",
    .rows = checker_rows,
    .nrows = sizeof(checker_rows) / sizeof(checker_rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION, /* parent and child are one build */
};

struct checker_work *
checker_work_new(struct event_base *base, int fd,
    void (*closed)(void *ctx, const struct err *why), void *ctx, struct err *e)
{
	struct checker_work *w = xcalloc(1, sizeof(*w));
	struct ipc_cfg cfg = {
	    .base = base,
	    .proto = &checker_proto,
	    .role = IPC_D_TO_CHK,
	    .state = IPC_S_NEW,
	    .ctx = w,
	    .closed = work_closed,
	    .per_turn = 1,
	};

	w->closed = closed;
	w->ctx = ctx;
	w->in.fd = w->out.fd = -1;
	if ((w->ipc = ipc_new(fd, &cfg, e)) == NULL) {
		free(w);
		return NULL;
	}
	w->judge = judge_new();
	w->file = xmalloc(BLOB_ENCODED_MAX);
	return w;
}

void
checker_work_free(struct checker_work **wp)
{
	struct checker_work *w = *wp;

	*wp = NULL;
	if (w == NULL)
		return;
	ipc_free(&w->ipc);
	arena_fini(&w->in);
	arena_fini(&w->out);
	judge_free(w->judge);
	free(w->file);
	free(w->list);
	free(w);
}
