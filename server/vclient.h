#ifndef SERVER_VCLIENT_H
#define SERVER_VCLIENT_H

#include <stdint.h>

#include "common/msg.h"
#include "common/proc.h"

struct err;
struct event_base;
struct ipc;

/*
 * A worker's connection to the validator.  It connects by itself, again and
 * again with growing delay, whenever there is something to say.
 *
 * - A request is kept encoded until it is answered.  After a reconnect come
 *   HELLO, SESSION_RESUME, then every unanswered request of the session in
 *   its first order.  Deposits and blobs stay in the arena meanwhile.
 * - A management call waits VCLIENT_CALL_WAIT_MS for a connection, a session
 *   VCLIENT_RESUME_WAIT_MS.  Then, or when the connection is lost under a
 *   call, they fail with ERR_UNAVAILABLE: a validator that is away is never
 *   reported as anything else.
 * - Callbacks run from the event loop, never inside the function that made
 *   the request, exactly once, and not after vclient_cancel().  They may make
 *   requests and cancel others.
 *
 * One per worker process, one session at most in its life.  Nothing blocks.
 */
#define VCLIENT_CALL_WAIT_MS PROC_CALL_WAIT_MS
#define VCLIENT_OPEN_WAIT_MS 30000
#define VCLIENT_RESUME_WAIT_MS (PROC_RESUME_MS + 15000)

struct vclient;
struct vclient_req; /* a request on its way; gone after its callback */

/* An answer.  All of it is lent until the callback returns, except that fd
 * can be taken by setting it to -1 (it is -1 if none came). */
struct vclient_reply {
	unsigned int type; /* MSG_ID_... */
	union {
		const struct msg_BACKUP_READY *backup_ready;
		const struct msg_SESSION_READY *session_ready;
		const struct msg_FILE_READY *file_ready;
		const struct msg_APPENDED *appended;
		const struct msg_DEPOSITED *deposited;
		const struct msg_CHUNK_READY *chunk_ready;
		const struct msg_FINISH_WAIT *finish_wait;
		const struct msg_CALL_REPLY *call_reply;
		const struct msg_CALL_RECORDS *call_records;
	};
	int fd;
};

/* r is NULL if the request failed (e says why), else e is NULL.  r->type is
 * one of those that ipc_fields.h names for the request. */
typedef void vclient_done_fn(void *arg, struct vclient_reply *r,
    const struct err *e);

/* path: of the validator's socket, as seen by this process. */
struct vclient *vclient_new(struct event_base *base, const char *path);
/* Forgets every request without calling back. */
void vclient_free(struct vclient *v);

/* The callback will not come; the request itself may still be carried out.
 * For requests of a session the answer is awaited all the same. */
void vclient_cancel(struct vclient_req *req);

/* Management calls.  -> CALL_REPLY or CALL_RECORDS.  data_fd: a sealed memory
 * file, taken in any case (-1: CALL, else CALL_DATA). */
struct vclient_req *vclient_call(struct vclient *v, const struct msg_CALL *m,
    int data_fd, vclient_done_fn *done, void *arg);

/*
 * The session.  The rest is for server/session_*.c.
 *
 * open -> BACKUP_READY or SESSION_READY.  Afterwards the vclient keeps the
 * session's id, resume key and a duplicate of the arena's descriptor.  If the
 * callback was cancelled before, the session is closed again.
 */
struct vclient_req *vclient_session_open(struct vclient *v,
    const struct msg_SESSION_OPEN *m, vclient_done_fn *done, void *arg);

/* What a session hears without having asked. */
struct vclient_session_cb {
	/* The validator ended it (ABORTED), refused to resume it, or stayed
	 * away too long.  Requests on their way fail with the same reason,
	 * before this is called; later ones must not be made. */
	void (*aborted)(void *arg, const struct err *why);
	/* Attached again after a restart: credit_slots start anew. */
	void (*resumed)(void *arg, uint32_t credit_slots);
	void *arg;
};
void vclient_session_attach(struct vclient *v,
    const struct vclient_session_cb *cb);
uint64_t vclient_session_id(const struct vclient *v);
/* Requests without an answer; for back-pressure. */
size_t vclient_pending(const struct vclient *v);

/* The greeting on a new connection to the validator, for who has no requests;
 * WELCOME or FAIL is the answer. */
int vclient_send_hello(struct ipc *ipc, uint64_t seq, struct err *e);

#define VCLIENT_SESSION_REQUESTS(X)                        \
	X(FILE_OPEN, file_open)       /* -> FILE_READY */  \
	X(INDEX_CREATE, index_create) /* -> DONE */        \
	X(APPEND, append)             /* -> APPENDED */    \
	X(INDEX_CLOSE, index_close)   /* -> DONE */        \
	X(DEPOSIT, deposit)           /* -> DEPOSITED */   \
	X(BLOB_PUT, blob_put)         /* -> DONE */        \
	X(CHUNK_OPEN, chunk_open)     /* -> CHUNK_READY */ \
	X(FINISH, finish) /* -> FINISH_WAIT (any number), FINISHED */
#define X(NAME, name)                                         \
	struct vclient_req *vclient_##name(struct vclient *v, \
	    const struct msg_##NAME *m, vclient_done_fn *done, void *arg);
VCLIENT_SESSION_REQUESTS(X)
#undef X

/* A line for the task log; dropped if the validator is away. */
void vclient_session_log(struct vclient *v, const struct msg_SESSION_LOG *m);
/* The client is gone: what is on its way fails (from the loop), then done when
 * the validator has answered or is not going to: the worker may end.  done
 * may be NULL. */
void vclient_session_close(struct vclient *v, const struct msg_SESSION_CLOSE *m,
    void (*done)(void *arg), void *arg);

#endif
