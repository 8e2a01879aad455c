#ifndef SERVER_SESSION_INT_H
#define SERVER_SESSION_INT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include <event2/util.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/format/names.h"
#include "common/msg.h"
#include "common/token_bucket.h"
#include "server/credit.h"
#include "server/known_chunks.h"
#include "server/session.h"

struct event;
struct json;
struct params;
struct request;
struct vclient;
struct vclient_reply;
struct vclient_req;

/* For server/session_*.c and their tests. */

TAILQ_HEAD(session_calls, session_call);
TAILQ_HEAD(session_uploads, upload);

/* An index that the client opened; its number is the client's "wid". */
struct session_writer {
	bool open;
	bool busy;    /* an append or close is with the validator */
	bool closing; /* a close is queued or on its way */
	bool stuck; /* the validator's count is unknown: ask before the next */
	enum archive_kind kind;
	uint64_t count;             /* entries that the validator has */
	struct session_calls queue; /* appends and closes that wait */
	char name[ARCHIVE_NAME_MAX + 1];
};

struct session {
	struct event_base *base;
	struct vclient *v;
	enum session_kind kind;
	char upid[IPC_UPID_MAX + 1];
	struct token_bucket log_rate; /* of failed calls in the task log */

	bool aborted; /* err: why; every call fails with it */
	struct err err;

	struct known_chunks known;
	int speedtest_fd; /* -1: not made yet */

	/* Backup sessions. */
	int64_t base_time; /* 0: no base */
	struct arena arena;
	struct credit credit;
	struct session_uploads uploads; /* until they are answered */
	struct event *idle;             /* since the last of them */
	uint32_t deposits;              /* next number */
	unsigned int writers_n;         /* numbers given so far */
	struct session_writer writers[IPC_WRITERS_MAX + 1]; /* by number */
	bool finishing;
	bool finished;
};

/* The session that a request of HTTP/2 belongs to. */
struct session *session_of(const struct request *req);

/* The 32 bytes of a parameter that was checked to be a digest. */
void session_digest(const char *hex, uint8_t out[DIGEST_LEN]);
/* 0, or -1 and the reply is made: aborted, finished. */
int session_can_change(struct session *s, struct request *req);
/* The writer of that number and kind, or NULL and the error of 4.4.1. */
struct session_writer *session_writer_get(struct session *s, int64_t wid,
    enum archive_kind kind, struct err *e);
/* -1 with its text for what is not there. */
int session_writer_unknown(int64_t wid, enum archive_kind kind, struct err *e);

/* For session.idle: gives back the memory that uploads used. */
#define SESSION_IDLE_S 10
void session_on_idle(evutil_socket_t fd, short what, void *arg);
/* The session is over: fails what did not get to the validator yet. */
void session_fail_uploads(struct session *s, const struct err *why);
/* Frees everything; nothing may be on its way any more. */
void session_free(struct session *s);

/*
 * A request that waits for one answer of the validator.  After the client
 * gave up, done() comes with req NULL: state that is shared must still be
 * put right.
 */
struct session_call {
	TAILQ_ENTRY(session_call) entry;     /* of a writer's queue */
	void (*run)(struct session_call *c); /* its turn has come */
	struct session *s;
	struct request *req;
	void *data; /* freed with the call */
	void (*done)(struct session_call *c, struct vclient_reply *r,
	    const struct err *e);
};
struct session_call *session_call_new(struct request *req,
    void (*done)(struct session_call *c, struct vclient_reply *r,
	const struct err *e),
    void *data);
/* For vclient_*(): calls c->done, then frees c. */
void session_call_done(void *arg, struct vclient_reply *r, const struct err *e);
/* The request is about to be answered: the call lets go of it.  NULL if the
 * client gave up. */
struct request *session_call_take(struct session_call *c);
void session_call_free(struct session_call *c);

/* The handlers of h2_routes.def. */
#define H2_ROUTE(session, method, path, params, flags, handler) \
	void handler(struct request *req);
#include "server/h2_routes.def"
#undef H2_ROUTE

#endif
