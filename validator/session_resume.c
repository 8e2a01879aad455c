/*
 * Restart: sessions that the last process left, and SESSION_RESUME.  Runs in
 * the validator's loop, the disk's part in the store's threads.  A worker
 * proves with the resume key that the session is its own, and brings the
 * arena back; everything else comes from the lock database, the runtime
 * folder and the session folder, which are ours.
 */
#include "config.h"

#include "validator/session_int.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/io.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/str.h"
#include "validator/peer.h"
#include "validator/store/deposit_log.h"
#include "validator/store/layout.h"
#include "validator/store/lockdb.h"
#include "validator/store/session_dir.h"
#include "validator/store/snapshot.h"
#include "validator/task.h"
#include "validator/validator.h"

/* A session that is being resumed. */
struct resuming {
	struct session_req req;
	struct lockdb_file *records;
	size_t nrecords;
	struct session_file *files[IPC_FILES_MAX];
	uint32_t nfiles;
};

/* For sessions of which only a tombstone is left. */
static const struct datastore_conf no_store_conf = {.title = (char *)""};
static struct vstore no_store = {.conf = &no_store_conf};

/* --- the answer --- */

static void
resume_ready(struct session *s, uint64_t seq)
{
	struct msg_RESUMED m = {.credit_slots = SESSION_CREDIT_SLOTS};

	peer_attach(s->peer);
	PEER_SEND(s->peer, RESUMED, s->id, seq, &m, -1);
}

static void
resume_refuse(struct peer *p, uint64_t id, uint64_t seq, const struct err *why)
{
	log_info("session", "not resumed: %s id=%016" PRIx64, why->msg, id);
	peer_send_fail(p, id, seq, why);
}

/* --- reopening --- */

static int
reopen_writer(struct session *s, const struct lockdb_file *rec, struct err *e)
{
	struct session_writer *w;
	struct index_writer_opts o;

	if (rec->number == 0 || rec->number > IPC_WRITERS_MAX ||
	    s->writers[rec->number] != NULL)
		return err_set(e, ERR_CORRUPT, "impossible writer recorded");
	w = s->writers[rec->number] = xcalloc(1, sizeof(*w));
	w->number = (uint16_t)rec->number;
	w->kind = rec->archive == ARCHIVE_FIXED ? INDEX_FIXED : INDEX_DYNAMIC;
	memcpy(w->name, rec->name, sizeof(w->name));
	w->size = rec->size;
	w->reuse = (rec->flags & LOCKDB_FILE_F_REUSE) != 0;
	w->closed = (rec->flags & LOCKDB_FILE_F_CLOSED) != 0;
	memcpy(w->closed ? w->csum.b : w->reuse_csum.b, rec->csum, DIGEST_LEN);
	w->ready = true;
	session_writer_opts(s, w, &o);
	return index_writer_reopen(&w->writer, &o, e);
}

static int
reopen_file(struct resuming *r, const struct lockdb_file *rec, struct err *e)
{
	struct session_file *f;

	if (rec->number != r->nfiles || r->nfiles >= IPC_FILES_MAX)
		return err_set(e, ERR_CORRUPT, "impossible file recorded");
	if (session_file_load(r->req.s->base_fd, rec->name, &f, e) == -1)
		return -1;
	f->number = rec->number;
	r->files[r->nfiles++] = f;
	if (f->kind != ARCHIVE_BLOB && f->view.count != rec->entries)
		return err_set(e, ERR_CORRUPT, "%s has changed", rec->name);
	return 0;
}

static int
reopen_records(struct resuming *r, struct err *e)
{
	size_t i;
	int rv = 0;

	for (i = 0; i < r->nrecords && rv == 0; i++) {
		if (r->records[i].kind == LOCKDB_FILE_OPENED)
			rv = reopen_file(r, &r->records[i], e);
		else if (r->records[i].kind == LOCKDB_FILE_WRITER)
			rv = reopen_writer(r->req.s, &r->records[i], e);
	}
	return rv;
}

static void
resume_run(struct store_job *job)
{
	struct resuming *r = (struct resuming *)job;
	struct session *s = r->req.s;
	struct backup_snapshot base = {s->snap.group,
	    s->kind == SESSION_KIND_READER ? s->snap.time : s->base_time};
	struct err *e = &r->req.err;

	if (base.time != 0 &&
	    (s->base_fd = snap_dir_open(s->vs->store, &s->ns, &base, e)) == -1)
		return;
	if (s->kind == SESSION_KIND_BACKUP &&
	    ((s->dir_fd = session_dir_open(s->vs->store, s->id, e)) == -1 ||
		(s->deposits_fd = deposit_log_open(s->dir_fd, e)) == -1 ||
		(s->run_fd = session_run_dir_open(s->sessions->run_fd, s->id,
		     e)) == -1 ||
		session_page_open(&s->page, s->run_fd, e) == -1))
		return;
	r->req.rv = reopen_records(r, e);
}

/* Files and checks as they were. */
static int
resume_install(struct resuming *r, struct err *e)
{
	struct session *s = r->req.s;
	uint32_t i;

	for (i = 0; i < r->nfiles; i++)
		s->files[s->nfiles++] = r->files[i];
	r->nfiles = 0;
	session_set_state(s, SESSION_OPEN);
	if (s->kind == SESSION_KIND_READER)
		return 0;
	session_check_init(s);
	s->resuming = true;
	for (i = 0; i < s->nfiles; i++)
		if (s->files[i]->kind != ARCHIVE_BLOB &&
		    session_check_file(s, s->files[i], e) == -1)
			return -1;
	s->resuming = false;
	return 0;
}

static void
resume_done(struct store_job *job)
{
	struct resuming *r = (struct resuming *)job;
	struct session *s = r->req.s;
	struct err gone;

	s->resuming = false;
	if (s->state == SESSION_AWAY && !s->sessions->suspended) {
		if (r->req.rv == 0)
			r->req.rv = resume_install(r, &r->req.err);
		if (r->req.rv == 0)
			r->req.rv = session_save(s, &r->req.err);
		err_set(&gone, ERR_ABORTED, "the worker is gone");
		if (s->peer == NULL) {
			session_close(s, &gone);
		} else if (r->req.rv == 0) {
			session_log_line(s,
			    "server was restarted, the session goes on");
			resume_ready(s, r->req.seq);
		} else {
			err_wrap(&r->req.err, "cannot resume the session");
			resume_refuse(s->peer, s->id, r->req.seq, &r->req.err);
			peer_detach(s->peer);
			s->peer = NULL;
			session_abort(s, &r->req.err);
			session_close(s, &r->req.err);
		}
	}
	while (r->nfiles > 0)
		session_file_free(r->files[--r->nfiles]);
	session_req_end(&r->req);
	free(r->records);
	free(r);
}

/* --- the message --- */

static int
collect_file(void *ctx, const struct lockdb_file *f)
{
	struct resuming *r = ctx;

	r->records =
	    xreallocarray(r->records, r->nrecords + 1, sizeof(*r->records));
	r->records[r->nrecords++] = *f;
	return 0;
}

static int
resume_arena(struct session *s, struct ipc_msg *m, struct err *e)
{
	uint64_t max = s->v->conf.arena_size / ARENA_BLOCK;
	int fd = m->fds[0];

	if (s->kind == SESSION_KIND_READER)
		return 0;
	m->fds[0] = -1;
	/* Of a try that came to nothing. */
	arena_fini(&s->arena);
	arena_use_fini(&s->arena_use);
	/* It may have been made under another configuration. */
	if (max < ARENA_BLOCKS_DEFAULT)
		max = ARENA_BLOCKS_DEFAULT;
	if (arena_map(&s->arena, fd, (uint32_t)max, 0, e) == -1)
		return -1;
	arena_use_init(&s->arena_use, s->arena.nblocks);
	return 0;
}

static int
resume_start(struct session *s, struct peer *p, struct ipc_msg *m,
    struct err *e)
{
	struct resuming *r;
	struct lockdb_txn *t;

	if (s->vs->store == NULL || s->resuming)
		return err_set(e, ERR_UNAVAILABLE,
		    "datastore '%s' is not available", s->vs->conf->title);
	if (resume_arena(s, m, e) == -1)
		return -1;
	r = xcalloc(1, sizeof(*r));
	if (lockdb_begin(s->v->locks, false, &t, e) == -1) {
		free(r);
		return -1;
	}
	if (lockdb_each_file(t, s->id, collect_file, r, e) == -1) {
		lockdb_abort(&t);
		free(r->records);
		free(r);
		return -1;
	}
	lockdb_abort(&t);
	s->resuming = true;
	s->peer = p;
	s->worker_pid = (uint32_t)peer_pid(p);
	peer_reserve(p, s);
	session_req_begin(s, m, &r->req); /* the first one: cannot fail */
	session_req_submit(&r->req, &s->strand, resume_run, resume_done);
	return 0;
}

/* What the tombstone says: finished, or why not. */
static int
resume_tombstone(struct peer *p, struct ipc_msg *m, const uint8_t hash[32],
    struct err *e)
{
	struct validator *v = peer_validator(p);
	struct lockdb_tombstone tomb;
	struct lockdb_txn *t;
	struct session *s;
	int rv;

	if (lockdb_begin(v->locks, false, &t, e) == -1)
		return -1;
	rv = lockdb_tombstone_get(t, m->session, io_boottime_ms(), &tomb, e);
	lockdb_abort(&t);
	if (rv == -1)
		return -1;
	if (rv == 0 || !str_equal_ct(tomb.resume_hash, hash, 32))
		return err_set(e, ERR_NOT_FOUND,
		    "the session is not known any more");
	if (tomb.code != ERR_OK)
		return err_set(e, err_code_from_wire(tomb.code), "%s",
		    tomb.text);
	s = session_new(v->sessions, &no_store, m->session, SESSION_KIND_BACKUP,
	    SESSION_FINISHED);
	s->peer = p;
	peer_reserve(p, s);
	resume_ready(s, m->seq);
	return 0;
}

static int
resume(struct peer *p, struct ipc_msg *m, const uint8_t hash[32], struct err *e)
{
	struct session *s =
	    sessions_get(peer_validator(p)->sessions, m->session);

	if (s == NULL || s->state == SESSION_CLOSED)
		return resume_tombstone(p, m, hash, e);
	if (!str_equal_ct(s->resume_hash, hash, sizeof(s->resume_hash)))
		return err_set(e, ERR_NOT_FOUND,
		    "the session is not known any more");
	if (s->peer != NULL)
		return err_set(e, ERR_BAD_STATE, "session has a worker");
	if (s->state == SESSION_AWAY)
		return resume_start(s, p, m, e);
	if (s->state == SESSION_FINISHING && s->finish != NULL) {
		s->peer = p;
		peer_reserve(p, s);
		resume_ready(s, m->seq);
		return 0;
	}
	if (s->state == SESSION_ABORTED) {
		*e = s->why;
		return -1;
	}
	return err_set(e, ERR_BAD_STATE, "session is %s",
	    session_state_str(s->state));
}

int
val_on_session_resume(void *ctx, struct ipc_msg *m)
{
	struct peer *p = ctx;
	struct msg_SESSION_RESUME msg;
	struct digest_ctx *dc;
	struct digest hash;
	struct err e;

	if (PEER_GET(m, SESSION_RESUME, &msg) == -1)
		return -1;
	if (peer_session(p) != NULL)
		return err_set(&m->err, ERR_PROTO, "second session");
	dc = digest_ctx_new();
	digest_of(dc, msg.resume_key, sizeof(msg.resume_key), &hash);
	digest_ctx_free(dc);
	mem_wipe(msg.resume_key, sizeof(msg.resume_key));
	if (resume(p, m, hash.b, &e) == -1)
		resume_refuse(p, m->session, m->seq, &e);
	return 0;
}
