/*
 * One snapshot of a verification: its manifest, its blobs, its indexes.  Runs
 * in holdfast-job.  The manifest and the blobs are a client's and are only
 * looked at by a checker; of indexes, which have fixed fields, each is
 * bounds-checked as it is read.
 */
#include "config.h"

#include "validator/jobs/verify_snap.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/records.h"
#include "common/str.h"
#include "common/format/index.h"
#include "common/format/manifest.h"
#include "common/format/upid.h"
#include "validator/jobs/job.h"
#include "validator/jobs/verify_chunks.h"
#include "validator/jobs/verify_peer.h"
#include "validator/store/snapshot.h"

#define BATCH 256
#define LINES_MAX 100 /* about chunks of one snapshot */
#define DAY_SECONDS 86400
#define MIB 1048576.0

/* What is found out of a snapshot. */
struct findings {
	struct verify_ctx *ctx;
	char name[VERIFY_NAME_MAX + 1];
	int dir_fd;
	const struct rec_ARCHIVE *file; /* at work */
	uint64_t file_bad;              /* errors of it */
	uint64_t file_unknown;          /* what could not be read */
	uint64_t bad;
	uint64_t unknown;
	uint64_t missing; /* chunks of the snapshot, each place counts */
	uint64_t lines;
	uint64_t chunks_done;
};

void
verify_snap_name(const struct verify_ctx *c, const struct backup_ns *ns,
    const struct backup_snapshot *snap, char out[VERIFY_NAME_MAX + 1])
{
	char text[SNAPSHOT_STR_MAX + 1];

	snapshot_to_str(snap, text);
	snprintf(out, VERIFY_NAME_MAX + 1, "%s:%s%s%s", job_store(c->job),
	    ns->name, ns->depth > 0 ? "/" : "", text);
}

/* --- findings ----------------------------------------------------------- */

/* A file that is not what the manifest says, or cannot be read. */
static void
file_failed(struct findings *f, const struct err *why)
{
	bool unknown = why->code != ERR_CORRUPT && why->code != ERR_NO_FILE &&
	    why->code != ERR_LIMIT && why->code != ERR_INVALID;

	if (unknown)
		f->file_unknown++;
	else
		f->file_bad++;
	job_warn(f->ctx->job, "verify %s/%s failed: %s", f->name, f->file->name,
	    STR_VIS(why->msg));
}

static void __attribute__((format(printf, 3, 4)))
chunk_line(struct findings *f, const struct digest *d, const char *fmt, ...)
{
	char hex[DIGEST_HEX_LEN + 1], text[512];
	va_list ap;

	if (f->lines++ >= LINES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	digest_to_hex(d, hex);
	job_warn(f->ctx->job, "chunk %s %s", hex, text);
}

/* A chunk that is good may still not be what this place says. */
static void
check_place(struct findings *f, const struct verify_ref *ref,
    const struct verify_chunk *c)
{
	bool encrypt = f->file->crypt_mode == CRYPT_MODE_ENCRYPT;

	if (c->encrypted != encrypt) {
		f->file_bad++;
		chunk_line(f, &ref->digest, "is %s, but its archive is %s",
		    c->encrypted ? "encrypted" : "not encrypted",
		    encrypt ? "encrypted" : "not");
	} else if (!c->encrypted && c->size != ref->size) {
		f->file_bad++;
		chunk_line(f, &ref->digest,
		    "has %u bytes, but the index says %u", c->size, ref->size);
	}
}

static int
chunk_found(void *arg, const struct verify_ref *ref,
    const struct verify_chunk *c, bool fresh, const char *text, struct err *e)
{
	struct findings *f = arg;

	(void)e;
	f->chunks_done++;
	switch (c->what) {
	case JOB_CHUNK_GOOD:
		check_place(f, ref, c);
		return 0;
	case JOB_CHUNK_MISSING:
		f->missing++;
		f->file_bad++;
		chunk_line(f, &ref->digest, "is missing");
		return 0;
	case JOB_CHUNK_DAMAGED:
		f->file_bad++;
		if (fresh)
			chunk_line(f, &ref->digest, "is damaged: %s",
			    STR_VIS(text));
		else
			chunk_line(f, &ref->digest, "was marked as corrupt");
		return 0;
	case JOB_CHUNK_REPLACED:
		f->file_unknown++;
		chunk_line(f, &ref->digest,
		    "was damaged and is uploaded again just now");
		return 0;
	case JOB_CHUNK_UNKNOWN:
		break;
	}
	f->file_unknown++;
	chunk_line(f, &ref->digest, "can't be verified, load failed - %s",
	    fresh ? STR_VIS(text) : "see above");
	return 0;
}

/* --- files -------------------------------------------------------------- */

static int
check_blob(struct findings *f, int fd, struct err *e)
{
	struct msg_CHK_VERDICT v;
	struct digest csum;

	memcpy(csum.b, f->file->csum, DIGEST_LEN);
	return verify_peer_blob(f->ctx->peer, fd, f->file->size, &csum, &v, e);
}

/* All but the chunks. */
static int
open_index(struct findings *f, int fd, enum archive_kind kind,
    struct index_view *v, struct err *e)
{
	struct digest csum;

	if (index_open_fd(v, fd, e) == -1 || index_csum(v, &csum, e) == -1)
		return -1;
	if ((v->kind == INDEX_FIXED) != (kind == ARCHIVE_FIXED))
		return err_set(e, ERR_CORRUPT, "an index of another kind");
	if (v->size != f->file->size)
		return err_set(e, ERR_CORRUPT,
		    "wrong size (%" PRIu64 " != %" PRIu64 ")", f->file->size,
		    v->size);
	if (memcmp(csum.b, f->file->csum, DIGEST_LEN) != 0)
		return err_set(e, ERR_CORRUPT, "wrong index checksum");
	/* Garbage collection could not trust it. */
	if (!digest_equal(&csum, &v->header.csum))
		return err_set(e, ERR_CORRUPT,
		    "wrong checksum in the index header");
	return 0;
}

static int
check_chunks(struct findings *f, const struct index_view *v, struct err *e)
{
	struct index_entry entries[BATCH];
	struct verify_ref ref;
	uint64_t first;
	size_t i, n;
	struct err why;

	f->chunks_done = 0;
	for (first = 0; first < v->count; first += n) {
		n = v->count - first < BATCH ? (size_t)(v->count - first)
					     : BATCH;
		if (index_get_entries(v, first, n, entries, &why) == -1) {
			file_failed(f, &why);
			break;
		}
		if (job_check_stop(f->ctx->job, e) == -1)
			return -1;
		for (i = 0; i < n; i++)
			verify_chunks_soon(f->ctx->chunks, &entries[i].digest);
		for (i = 0; i < n; i++) {
			ref.digest = entries[i].digest;
			ref.size =
			    (uint32_t)(entries[i].end - entries[i].start);
			if (verify_chunks_add(f->ctx->chunks, &ref, e) == -1)
				return -1;
		}
		if (f->ctx->show_chunks)
			job_progress(f->ctx->job, "checking chunks",
			    f->chunks_done, v->count);
	}
	return verify_chunks_drain(f->ctx->chunks, e);
}

/* -1 ends the job; what is wrong with the file goes to the findings. */
static int
check_file(struct findings *f, struct err *e)
{
	enum archive_kind kind;
	struct index_view v;
	struct err why;
	uint64_t size;
	int fd = -1, rv = 0;

	f->file_bad = f->file_unknown = 0;
	job_log(f->ctx->job, "  check %s", f->file->name);
	if (archive_name_parse(f->file->name, &kind, &why) == -1 ||
	    (fd = snap_file_open(f->dir_fd, f->file->name, &size, &why)) ==
		-1 ||
	    (!f->file->has_csum &&
		err_set(&why, ERR_CORRUPT, "no checksum in the manifest") ==
		    -1) ||
	    (kind == ARCHIVE_BLOB ? check_blob(f, fd, &why)
				  : open_index(f, fd, kind, &v, &why)) == -1)
		file_failed(f, &why);
	else if (kind != ARCHIVE_BLOB)
		rv = check_chunks(f, &v, e);
	io_close(&fd);
	f->bad += f->file_bad;
	f->unknown += f->file_unknown;
	return rv;
}

/* --- the snapshot ------------------------------------------------------- */

/* The slot's checker may have ended at the last file. */
static int
need_peer(struct verify_ctx *c, struct err *e)
{
	return c->peer->ipc != NULL ? 0
				    : verify_peer_open(c->peer, c->job, 0, e);
}

static int
check_files(struct findings *f, const uint8_t *data, size_t len, struct err *e)
{
	struct rec_ARCHIVE file;
	enum record_kind kind;
	struct wire_r all, body;
	uint8_t *list = xmemdup(data, len);
	int rv = 0, more;

	/* The peer's next answer replaces its copy. */
	wire_r_init(&all, list, len);
	while (rv == 0 && (more = record_next(&all, &kind, &body)) != 0) {
		if (more == -1 || kind != RECORD_ARCHIVE ||
		    rec_get_ARCHIVE(&body, &file) == -1) {
			rv = err_set(e, ERR_PROTO, "damaged list of files");
			break;
		}
		f->file = &file;
		if ((rv = need_peer(f->ctx, e)) == 0)
			rv = check_file(f, e);
	}
	free(list);
	return rv;
}

/* datastore-format 7.4 */
static bool
is_recent(const struct verify_ctx *c, const struct msg_CHK_MANIFESTED *m)
{
	struct upid u;
	int64_t age;

	if (!c->ignore_verified || m->verify_state == VERIFY_STATE_NONE ||
	    upid_parse(&u, m->upid, NULL) == -1)
		return false;
	if (!c->outdated)
		return true;
	age = io_realtime_s() - (int64_t)u.start;
	return age < 0 || (uint64_t)(age / DAY_SECONDS) <= c->outdated_after;
}

static void
log_rate(const struct findings *f, uint64_t encoded, uint64_t plain,
    uint64_t ms)
{
	double s = (double)(ms > 0 ? ms : 1) / 1000;

	job_log(f->ctx->job,
	    "  verified %.2f/%.2f MiB in %.2f seconds, speed %.2f/%.2f MiB/s "
	    "(%" PRIu64 " errors)",
	    (double)encoded / MIB, (double)plain / MIB, s,
	    (double)encoded / MIB / s, (double)plain / MIB / s,
	    f->bad + f->unknown);
	if (f->lines > LINES_MAX)
		job_warn(f->ctx->job, "  ... and %" PRIu64 " more chunks",
		    f->lines - LINES_MAX);
	if (f->missing > 0)
		job_warn(f->ctx->job,
		    "  %" PRIu64 " references to missing chunks in %s",
		    f->missing, f->name);
}

/* The manifest: list of files, and whether to go on. */
static int
read_manifest(struct findings *f, enum verify_result *out,
    const uint8_t **data_out, size_t *len_out, struct err *e)
{
	struct msg_CHK_MANIFESTED m;
	struct err why;
	uint64_t size;
	int fd, rv;

	*data_out = NULL;
	if (need_peer(f->ctx, e) == -1)
		return -1;
	fd = snap_file_open(f->dir_fd, MANIFEST_NAME, &size, &why);
	rv = fd == -1 ? -1
		      : verify_peer_manifest(f->ctx->peer, fd,
			    MANIFEST_OP_FILES, &m, data_out, &why);
	io_close(&fd);
	if (rv == -1) {
		*out = why.code == ERR_CORRUPT || why.code == ERR_NO_FILE ||
			why.code == ERR_LIMIT
		    ? VERIFY_BAD
		    : VERIFY_UNKNOWN;
		job_warn(f->ctx->job, "verify %s - manifest load error: %s",
		    f->name, STR_VIS(why.msg));
		return 0;
	}
	*len_out = m.out_len;
	*out = is_recent(f->ctx, &m) ? VERIFY_SKIPPED : VERIFY_GOOD;
	if (*out == VERIFY_SKIPPED)
		job_log(f->ctx->job, "SKIPPED: verify %s (recently verified)",
		    f->name);
	return 0;
}

static int
verify_locked(struct findings *f, enum verify_result *out, struct err *e)
{
	uint64_t began = io_monotonic_ms(), enc0, plain0, enc, plain;
	const uint8_t *data;
	size_t len = 0;

	if (read_manifest(f, out, &data, &len, e) == -1)
		return -1;
	if (*out != VERIFY_GOOD)
		return 0;
	job_log(f->ctx->job, "verify %s", f->name);
	verify_chunks_stats(f->ctx->chunks, &enc0, &plain0);
	verify_chunks_on(f->ctx->chunks, chunk_found, f);
	if (data != NULL && check_files(f, data, len, e) == -1)
		return -1;
	verify_chunks_stats(f->ctx->chunks, &enc, &plain);
	log_rate(f, enc - enc0, plain - plain0, io_monotonic_ms() - began);
	if (f->bad > 0)
		*out = VERIFY_BAD;
	else if (f->unknown > 0)
		*out = VERIFY_UNKNOWN;
	return 0;
}

/* Tells the validator what it is; the lock goes. */
static int
snap_done(struct findings *f, enum verify_result r, struct err *e)
{
	static const uint8_t states[] = {
	    [VERIFY_GOOD] = VERIFY_STATE_OK,
	    [VERIFY_SKIPPED] = VERIFY_STATE_NONE,
	    [VERIFY_BAD] = VERIFY_STATE_FAILED,
	    [VERIFY_UNKNOWN] = VERIFY_STATE_NONE,
	};
	struct msg_JOB_SNAP_DONE msg = {.state = states[r]};
	struct msg_JOB_REPLY reply;

	if (JOB_CALL(f->ctx->job, SNAP_DONE, &msg, &reply, e) == 0)
		return 0;
	if (job_is_stopped(f->ctx->job) || e->code == ERR_PROTO)
		return -1;
	job_warn(f->ctx->job, "cannot write the state of %s: %s", f->name,
	    STR_VIS(e->msg));
	return 0;
}

/* 0 locked, 1 not and *out says why, -1. */
static int
snap_lock(struct findings *f, const struct backup_ns *ns,
    const struct backup_snapshot *snap, enum verify_result *out,
    void (*before)(void *arg), void *arg, struct err *e)
{
	struct msg_JOB_SNAP_LOCK msg = {
	    .type = (uint8_t)snap->group.type,
	    .time = snap->time,
	};
	struct msg_JOB_REPLY reply;

	snprintf(msg.ns, sizeof(msg.ns), "%s", ns->name);
	snprintf(msg.id, sizeof(msg.id), "%s", snap->group.id);
	if (JOB_CALL(f->ctx->job, SNAP_LOCK, &msg, &reply, e) == 0) {
		before(arg);
		return 0;
	}
	if (e->code == ERR_PERM) {
		*out = VERIFY_NOT_ALLOWED;
		return 1;
	}
	if (e->code != ERR_LOCKED)
		return -1;
	before(arg);
	*out = VERIFY_SKIPPED;
	job_warn(f->ctx->job,
	    "SKIPPED: verify %s - could not acquire snapshot lock: %s", f->name,
	    STR_VIS(e->msg));
	return 1;
}

int
verify_snap(struct verify_ctx *c, const struct backup_ns *ns,
    const struct backup_snapshot *snap, void (*before)(void *arg), void *arg,
    enum verify_result *out, struct err *e)
{
	struct findings f = {.ctx = c, .dir_fd = -1};
	struct err why;
	int rv;

	verify_snap_name(c, ns, snap, f.name);
	rv = snap_lock(&f, ns, snap, out, before, arg, e);
	if (rv != 0)
		return rv == 1 ? 0 : -1;
	f.dir_fd = snap_dir_open(c->store, ns, snap, &why);
	if (f.dir_fd != -1) {
		rv = verify_locked(&f, out, e);
	} else if (why.code == ERR_NOT_FOUND || why.code == ERR_NO_NAMESPACE) {
		*out = VERIFY_SKIPPED;
		job_log(c->job,
		    "SKIPPED: verify %s - snapshot does not exist (anymore).",
		    f.name);
	} else {
		*out = VERIFY_UNKNOWN;
		job_warn(c->job, "verify %s failed: %s", f.name,
		    STR_VIS(why.msg));
	}
	io_close(&f.dir_fd);
	return rv == -1 ? -1 : snap_done(&f, *out, e);
}
