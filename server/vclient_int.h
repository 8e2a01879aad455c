#ifndef SERVER_VCLIENT_INT_H
#define SERVER_VCLIENT_INT_H

/*
 * For vclient.c (connection, session), vclient_reqs.c (requests),
 * vclient_msgs.c (messages) and their tests.
 */

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ipc.h"
#include "common/proc.h"
#include "server/vclient.h"

struct event;

enum vclient_scope {
	VCLIENT_SCOPE_CALL,    /* lost with the connection once sent */
	VCLIENT_SCOPE_OPEN,    /* the same, waits longer */
	VCLIENT_SCOPE_SESSION, /* sent again after a resume */
	VCLIENT_SCOPE_NOTE,    /* of the session, gone once sent: no answer */
};

struct vclient_req {
	TAILQ_ENTRY(vclient_req) entry;
	struct vclient *v;
	uint64_t seq;
	uint64_t deadline_ms; /* of one that is not sent yet; 0: none */
	uint16_t type;
	enum vclient_scope scope;
	bool sent; /* on the connection that is now */
	int fd;    /* goes along; owned, -1: none */
	uint8_t *body;
	size_t len;
	vclient_done_fn *done; /* NULL: nobody listens (any more) */
	void *arg;
	struct err *why; /* failed; owned */
};
TAILQ_HEAD(vclient_reqs, vclient_req);

enum vclient_state {
	VCLIENT_STATE_DOWN,
	VCLIENT_STATE_GREETING,
	VCLIENT_STATE_RESUMING,
	VCLIENT_STATE_UP,
};

enum vclient_session {
	VCLIENT_SESSION_NONE,
	VCLIENT_SESSION_OPEN,
	VCLIENT_SESSION_OVER, /* why says the reason */
};

struct vclient {
	struct event_base *base;
	char *path;
	enum vclient_state state;
	struct ipc *ipc;
	struct event *timer; /* retry, time limits, close */
	struct event *kick;  /* something to tell from the loop */
	struct proc_backoff backoff;
	uint64_t retry_ms; /* when to connect next */

	struct vclient_reqs reqs;   /* unanswered, in their first order */
	struct vclient_reqs failed; /* to be told from the loop */
	uint64_t last_seq;
	size_t pending; /* in reqs */
	unsigned int notes;

	enum vclient_session session;
	struct vclient_session_cb cb;
	uint64_t session_id;
	uint64_t resume_seq;
	uint8_t resume_key[32];
	int arena_fd;         /* -1: a reader's */
	uint64_t away_end_ms; /* 0: attached */
	bool tell_over;
	struct err why;

	void (*closed)(void *arg); /* wanted by vclient_session_close() */
	void *closed_arg;
	uint64_t close_end_ms; /* no longer waiting for the answer */

	uint8_t scratch[IPC_BODY_MAX];
};

/* ---- vclient_msgs.c ---- */

extern const struct ipc_proto vclient_proto;
/* Whether that answer fits that request; FAIL fits all and is not asked. */
bool vclient_is_answer(unsigned int request, unsigned int answer);

/* ---- vclient_reqs.c ---- */

/* Queues an encoded message and sends it if possible; fd is taken. */
struct vclient_req *vclient_request(struct vclient *v, uint16_t type,
    enum vclient_scope scope, const struct wire_w *body, int fd,
    vclient_done_fn *done, void *arg);
/* Sends what is not sent yet, in order, as far as the socket takes it. */
void vclient_pump(struct vclient *v);
/* All of the session; their callbacks come from the loop. */
void vclient_fail_session_reqs(struct vclient *v, const struct err *why);
/* The connection is gone: calls that were sent fail, requests of the session
 * count as not sent. */
void vclient_reqs_lost(struct vclient *v);
/* Fails what waited too long for a connection; gives the next limit. */
uint64_t vclient_reqs_expire(struct vclient *v, uint64_t now_ms);
/* Calls back what failed. */
void vclient_reqs_tell(struct vclient *v);
/* Forgets requests, without calling back. */
void vclient_reqs_forget(struct vclient *v);

/* From the message handlers; 0, or -1 to close the connection. */
int vclient_on_fail(struct vclient *v, uint64_t seq, const struct err *why,
    struct err *e);
int vclient_on_answer(struct vclient *v, uint64_t seq, uint64_t session,
    struct vclient_reply *r, struct err *e);

/* ---- vclient.c ---- */

/* Something is queued or a time limit changed. */
void vclient_arm(struct vclient *v);
int vclient_on_welcome(struct vclient *v, struct err *e);
int vclient_on_resumed(struct vclient *v, uint32_t credit_slots, struct err *e);
/* HELLO or SESSION_RESUME failed. */
int vclient_on_refused(struct vclient *v, const struct err *why, struct err *e);
void vclient_on_aborted(struct vclient *v, const struct err *why);
int vclient_on_opened(struct vclient *v, uint64_t id,
    const struct vclient_reply *r, struct err *e);

#endif
