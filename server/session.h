#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include <stdint.h>

#include "common/msg.h"

struct err;
struct event_base;
struct session;
struct session_opening;
struct vclient;

/*
 * A backup or reader session of this worker: what an upgraded connection
 * (wire-protocol 4 and 5) talks to.
 *
 * Order of checks of 4.1 and 5.1: the route does 1 (authentication), 2
 * (parameters) and 5 (Upgrade header), then gets a grant and calls
 * session_open(); the validator does the rest in its order and its refusal
 * is the error that the client gets, with its HTTP status.
 *
 *	session_open() -> opened(s): send the 101, then h2_start() with s;
 *	                  opened(NULL, e): answer e, the connection goes on
 */
typedef void session_opened_fn(void *arg, struct session *s,
    const struct err *e);

/* m is copied.  opened is called once from the loop, with a session that the
 * callee owns. */
struct session_opening *session_open(struct event_base *base, struct vclient *v,
    const struct msg_SESSION_OPEN *m, session_opened_fn *opened, void *arg);
/* The client went away meanwhile; opened is not called. */
void session_open_cancel(struct session_opening *o);

enum session_kind session_kind_of(const struct session *s);
const char *session_upid(const struct session *s);

/*
 * The client's connection is over, or never was upgraded: tells the validator
 * (clean: without an error of transport or protocol; text: what happened) and
 * frees s when that is out.  ended is called from the loop: the worker may
 * exit then.
 */
void session_end(struct session *s, int clean, const char *text,
    void (*ended)(void *arg), void *arg);

#endif
