#ifndef VALIDATOR_SESSION_INT_H
#define VALIDATOR_SESSION_INT_H

/*
 * For the files that make up sessions, and their tests:
 *   session.c         states, ends, cleaning up, the table
 *   session_open.c    SESSION_OPEN
 *   session_resume.c  SESSION_RESUME
 *   session_recover.c the table, what is taken over at start
 *   session_files.c   FILE_OPEN
 *   session_index.c   INDEX_CREATE, INDEX_CLOSE
 *   session_append.c  APPEND
 *   session_reader.c  CHUNK_OPEN
 *   session_check.c   the check of reused chunks
 *   deposit.c, blob.c uploads
 *   finish.c, finish_commit.c  FINISH
 */
#include <sys/queue.h>

#include <stdatomic.h>

#include "common/arena.h"
#include "common/ipc_fields.h"
#include "common/msg.h"
#include "common/format/index.h"
#include "common/format/names.h"
#include "common/format/snapshot.h"
#include "validator/finish.h"
#include "validator/session.h"
#include "validator/store/bitmap.h"
#include "validator/store/index_writer.h"
#include "validator/store/session_page.h"
#include "validator/store/threads.h"

#define SESSION_CREDIT_SLOTS 256
/* Requests of one session that are not answered: deposits and blobs, and some
 * more.  A worker that sends more breaks the rules. */
#define SESSION_REQUESTS_MAX (SESSION_CREDIT_SLOTS + 256)
#define SESSION_CHECKER_DEATHS_MAX 16

struct checker;
struct event;
struct finish;
struct ipc_msg;
struct peer;
struct reuse;
struct reuse_scan;
struct task;

/* A file of the base (backup) or of the snapshot (reader). */
struct session_file {
	struct session *session; /* once checking has begun */
	uint32_t number;
	char name[IPC_NAME_MAX + 1];
	enum archive_kind kind;
	int fd;
	uint64_t size;
	struct index_view view; /* of an index; reads from fd */
	/* Backup sessions, once checking has begun: */
	struct bitmap checked;
	struct bitmap referenced;
	struct reuse_scan *scan; /* the last one; kept for its suspects */
	bool scanning;
	uint64_t scan_started_ms;
};

struct session_writer {
	uint16_t number;
	enum index_kind kind;
	char name[IPC_NAME_MAX + 1];
	uint64_t size; /* announced */
	bool reuse;
	struct digest reuse_csum;
	bool ready;         /* INDEX_CREATE was answered */
	bool closed;        /* the index is complete */
	bool busy;          /* a close is on its way */
	struct digest csum; /* of the closed one */
	struct index_writer *writer;
};

struct session {
	TAILQ_ENTRY(session) entry;
	struct sessions *sessions;
	struct validator *v;
	struct vstore *vs;
	uint64_t id;
	enum session_kind kind;
	enum session_state state;
	uint32_t flags; /* SESSION_FLAG_* */
	struct backup_ns ns;
	struct backup_snapshot snap;
	char snap_text[SNAPSHOT_STR_MAX + 1];
	char auth_id[IPC_AUTHID_MAX + 1];
	char peer_text[IPC_PEER_MAX + 1]; /* the client's address, escaped */
	int64_t started;
	uint32_t worker_pid;
	uint8_t resume_hash[DIGEST_LEN];
	struct peer *peer; /* NULL: none attached */
	struct task *task;
	struct err why; /* of SESSION_ABORTED */

	/* Work on the store.  Every job holds the session. */
	struct store_flow strand; /* one after the other, in order */
	struct store_flow bulk;   /* chunk writes, beside it */
	struct store_flow stat;   /* the check */
	struct store_flow sync;   /* the commit */
	unsigned int holds;
	unsigned int requests; /* not yet answered */
	unsigned int changes;  /* of these: would change the backup */
	bool cleaned;          /* or about to be */
	struct store_job cleanup;

	int64_t base_time;    /* 0: no base */
	bool base_recent;     /* verified recently, by this server */
	uint64_t damage_seen; /* damage_overflows() when it began; 0: resumed */
	int base_fd;          /* folder of the base, or of the snapshot read */
	struct session_file *files[IPC_FILES_MAX];
	uint32_t nfiles;

	/* Backup sessions only */
	int dir_fd; /* the session's folder in the store */
	int run_fd; /* its folder in RUN */
	int deposits_fd;
	struct session_page *page;
	struct session_writer *writers[IPC_WRITERS_MAX + 1];
	bool manifest_busy;
	struct arena arena;
	struct arena_use arena_use;
	struct event
	    *idle; /* since the last request; NULL: no checker so far */
	struct checker *checker;
	unsigned int checker_deaths;
	unsigned int deposits_busy;
	struct reuse *reuse;
	struct event *check_failed; /* a scan that did not start */
	struct event *check_held;   /* scans that tests hold back */
	struct err check_err;
	bool check_missing; /* something is missing: known after a restart */
	bool suspect_busy;
	atomic_bool check_urgent; /* finish waits for it; read by scans */
	bool resuming;
	struct finish *finish;
	bool benchmark_done;
};

TAILQ_HEAD(session_list, session);
struct sessions {
	struct validator *v;
	struct session_list list;
	unsigned int n;
	int run_fd;           /* RUN/validator/sessions */
	struct event *reap;   /* end of the resume time */
	struct event *expire; /* of tombstones */
	bool suspended;
};

/* A request: its answer goes to the session's worker, whoever that is then.
 * Embedded in each handler's own struct. */
struct session_req {
	struct store_job job;
	struct session *s;
	uint64_t seq;
	bool changes;
	int rv; /* of run(): 0, or -1 and err */
	struct err err;
};

/* --- session.c --- */

struct session *session_new(struct sessions *ss, struct vstore *vs, uint64_t id,
    enum session_kind kind, enum session_state state);
/* Whatever it has open; the threads must be done with it. */
void session_free(struct session *s);
/* The only writer of s->state. */
void session_set_state(struct session *s, enum session_state next);
/* Whatever uses the session from outside of the loop's current call. */
void session_hold(struct session *s);
void session_unhold(struct session *s);

/* A request begins: counts it, holds the session.  -1 (and m->err) if the
 * worker has too many. */
int session_req_begin(struct session *s, struct ipc_msg *m,
    struct session_req *r);
/* The same of one that session_refuses_change() let pass. */
int session_change_begin(struct session *s, struct ipc_msg *m,
    struct session_req *r);
/* It was answered; the caller frees r. */
void session_req_end(struct session_req *r);
/* Answers FAIL; a poisoned store ends its sessions. */
void session_fail(struct session *s, uint64_t seq, const struct err *why);
/* Runs in a thread of the flow, then done in the loop. */
void session_req_submit(struct session_req *r, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job));

/* True if a request cannot be served in this state, and was answered. */
bool session_refuses(struct session *s, uint64_t seq);
/* The same of a request that changes the backup: nor while it finishes, so that
 * what was checked is what is committed. */
bool session_refuses_change(struct session *s, uint64_t seq);
/* True if an answer has still a meaning: the session is open. */
bool session_is_open(const struct session *s);

/* What a user and his tokens have open: backups count with their arenas. */
struct session_use {
	uint64_t sessions;
	uint64_t inflight; /* bytes */
};
void sessions_use(const struct sessions *ss, const char *auth_id,
    struct session_use *out);
/* A line in the audit log; why NULL: nothing failed. */
void session_audit(const struct session *s, const char *event,
    const struct err *why);
/* Ends with a reason: tells the worker, frees the locks, cleans up. */
void session_abort(struct session *s, const struct err *why);
/* Ends without: the worker is gone. */
void session_close(struct session *s, const struct err *why);
/* Committed: cleans up what only an open session needs. */
void session_finished(struct session *s);
/* Puts its record; -1 is logged by the caller. */
int session_save(struct session *s, struct err *e);
/* Locks and record go; a tombstone stays if text is not NULL. */
int session_drop_record(struct session *s, enum err_code code, const char *text,
    struct err *e);
/* "backup by <auth id>" */
void session_what(const struct session *s, char *dst, size_t dst_size);

#define session_log_line(s, ...) task_log((s)->task, __VA_ARGS__)

/* --- session_open.c --- */
int session_start_task(struct session *s, struct err *e);
/* What stopping its task does; arg is the session. */
void session_stop_asked(void *arg);
int session_make_arena(struct session *s, struct err *e);

/* --- session_files.c --- */
struct session_file *session_file_find(struct session *s, const char *name);
/* In a thread: opens a file of base_fd and, if it is an index, its view. */
int session_file_load(int dir_fd, const char *name, struct session_file **out,
    struct err *e);
void session_file_free(struct session_file *f);
/* In the loop: gives it the next number, or the recorded one. */
int session_file_add(struct session *s, struct session_file *f, struct err *e);

/* --- session_index.c --- */
void session_writer_free(struct session_writer *w);
struct session_writer *session_writer_get(struct session *s, uint16_t number);
/* What index_writer_create() and _reopen() want. */
void session_writer_opts(struct session *s, struct session_writer *w,
    struct index_writer_opts *o);

/* --- session_check.c --- */
void session_check_init(struct session *s);
/* The file is an index of the base: check it.  Opens the bitmaps. */
int session_check_file(struct session *s, struct session_file *f,
    struct err *e);
/* Stops scans; they end later, in their own time. */
void session_check_stop(struct session *s);
void session_check_free(struct session *s);

/* --- deposit.c --- */
/* The session's checker, a new one if there is none or it died. */
struct checker *session_checker(struct session *s, struct err *e);
/* The last request was answered: the checker goes after a while. */
void session_checker_idle(struct session *s);
void session_checker_free(struct session *s);

#endif
