#ifndef VALIDATOR_CALL_INT_H
#define VALIDATOR_CALL_INT_H

/*
 * For the files that make up the calls:
 *   call.c        decoding, rights, locks, answering
 *   call_store.c  datastores and namespaces
 *   call_group.c  groups
 *   call_snap.c   snapshots
 *   call_prune.c  pruning
 *   call_gc.c     garbage collection
 *   call_task.c   tasks
 *   call_verify.c verification
 */
#include <stdbool.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/msg.h"
#include "common/privs.h"
#include "common/format/manifest.h"
#include "common/format/snapshot.h"
#include "validator/call.h"
#include "validator/store/lockdb.h"
#include "validator/store/threads.h"

#define CALL_NOTES_MAX MANIFEST_NOTES_MAX
#define CALL_OWN_AUTH_ID "root@pam"

struct peer;
struct record_file;
struct validator;
struct vstore;

enum call_op {
#define CALL_OP(NAME, id, free, owner) CALL_##NAME = (id),
#include "common/call_ops.def"
#undef CALL_OP
};

struct call {
	struct store_job job; /* first: a job is its call */
	TAILQ_ENTRY(call) entry;
	struct validator *v;
	struct peer *peer; /* NULL: gone */
	uint64_t seq;
	const struct call_row *row;
	struct msg_CALL m; /* strings only */
	struct grant grant;
	int data_fd; /* of CALL_DATA, else -1 */
	char *data;  /* its bytes, once call_read_data() ran */
	size_t data_len;

	struct vstore *vs;
	struct store_flow flow;
	struct backup_ns ns;
	struct backup_snapshot snap; /* or only its group */
	uint32_t privs;              /* on the namespace */
	bool owner_needed;
	bool is_own;     /* the server's own: no peer, all rights */
	uint64_t holder; /* of our locks; 0: none */

	/* What runs in a thread now, and what comes then. */
	int (*step_run)(struct call *c, struct err *e);
	void (*step_done)(struct call *c);

	int rv; /* the result: 0, or -1 and err */
	struct err err;
	uint64_t n[3];
	char text[IPC_TEXT_MAX + 1];
	struct record_file *records; /* the answer is CALL_RECORDS */
	int raw_fd;                  /* or that file of raw_size bytes */
	uint64_t raw_size;
	void *state; /* of the call's own file; call_row.fini frees it */
};

#define CALL_F_STORE 0x01u  /* concerns a datastore */
#define CALL_F_WRITES 0x02u /* refused in read-only maintenance */
#define CALL_F_GROUP 0x04u  /* type and id are needed */
#define CALL_F_SNAP 0x08u   /* and time */
#define CALL_F_DATA 0x10u   /* comes as CALL_DATA */
#define CALL_F_LOCK 0x20u   /* takes the lock of the row */
#define CALL_F_RECORDS 0x40u

struct call_row {
	enum call_op op;
	unsigned int flags;
	/* Rights of a row with 0 and 0; NULL: none are needed, or begin()
	 * looks.  In the loop, before the store is looked at. */
	int (*rights)(struct call *c, struct err *e);
	/* In the loop, with rights, store and lock: does it, or submits jobs;
	 * then call_end().  NULL: run in a thread. */
	void (*begin)(struct call *c);
	/* In a thread, after the owner check. */
	int (*run)(struct call *c, struct err *e);
	void (*fini)(struct call *c);
	enum lock_kind lock;
	const char *lock_text;
};

extern const struct call_row call_store_rows[];
extern const struct call_row call_group_rows[];
extern const struct call_row call_snap_rows[];
extern const struct call_row call_prune_rows[];
extern const struct call_row call_gc_rows[];
extern const struct call_row call_task_rows[];
extern const struct call_row call_verify_rows[];

/* Runs in a thread, with owner check first if that is needed; then done in the
 * loop with c->rv and c->err set. */
void call_submit(struct call *c, int (*run)(struct call *c, struct err *e),
    void (*done)(struct call *c));
/* Goes on in a later turn of the loop; c->rv is -1 if the server ends. */
void call_later(struct call *c, void (*done)(struct call *c));
/* A call that the server makes itself, for a row that is not a client's; not
 * begun yet. */
struct call *call_new_own(struct validator *v, struct vstore *vs,
    const struct call_row *row);
/* Answers from c->rv and the results, and frees. */
void call_end(struct call *c);
/* The same with an error. */
void call_fail(struct call *c, const struct err *why);
/* Answers from the results; what the call goes on to do, up to call_end(), is
 * then told to nobody. */
void call_answer_now(struct call *c);
/* 403 "permission check failed - missing A|B on /datastore/..." */
int call_denied(const struct call *c, uint32_t privs, struct err *e);
/* Takes a lock that call_end() frees.  group or snapshot by kind; text: what
 * follows the "-". */
int call_lock(struct call *c, enum lock_kind kind, const struct backup_ns *ns,
    const struct backup_snapshot *snap, const char *text, struct err *e);
/* Frees it before: for those who need many, one after the other. */
void call_unlock(struct call *c, enum lock_kind kind,
    const struct backup_ns *ns, const struct backup_snapshot *snap);
/* In a thread: the bytes of CALL_DATA, at most max; a NUL behind them. */
int call_read_data(struct call *c, size_t max, struct err *e);
/* Does the caller own what owner owns? */
bool call_owns(const struct call *c, const char *owner);

#endif
