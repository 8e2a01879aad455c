#ifndef CLIENT_H2_H
#define CLIENT_H2_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json;
struct tls;

/*
 * HTTP/2 on an upgraded connection: any number of requests at a time, all
 * moved by h2_turn() in one thread.
 */
struct h2;

/* An answer.  The body is lent until the callback returns, unless it takes
 * it: by setting the pointer to NULL, and freeing it later. */
struct h2_reply {
	int status;
	uint8_t *body;
	size_t len;
};

struct h2_request {
	const char *method;
	const char *target;       /* "/blob?file-name=..." */
	const char *content_type; /* NULL: none */
	const void *body;         /* lent until done() */
	size_t body_len;
	size_t reply_max; /* longer answers end the session */
	/* Once, from h2_turn(); reply NULL: the stream was reset.  It may
	 * start further requests.  -1 ends h2_turn() with that error. */
	int (*done)(void *ctx, struct h2_reply *reply, struct err *e);
	void *ctx;
};

#define H2_REPLY_MAX (1u << 20) /* of calls that answer with JSON */

/* rest: bytes that came behind the upgrade's answer.  The connection stays
 * the caller's. */
struct h2 *h2_new(struct tls *t, const uint8_t *rest, size_t rest_len,
    struct err *e);
void h2_free(struct h2 *h);

/* Queues a request; the strings are copied. */
int h2_submit(struct h2 *h, const struct h2_request *q, struct err *e);
/* Requests without an answer yet. */
size_t h2_pending(const struct h2 *h);

/*
 * Moves bytes in both directions, and waits until there are some, or until
 * wake_fd (an eventfd, -1 for none) is signalled, which it resets; for
 * timeout_ms at most (-1: for ever).  ERR_UNAVAILABLE when the connection is
 * gone.
 */
int h2_turn(struct h2 *h, int wake_fd, int timeout_ms, struct err *e);

/* One request, waited for.  The body of a 2xx belongs to the caller; other
 * answers are errors with the server's text. */
int h2_call(struct h2 *h, const struct h2_request *q, uint8_t **body_out,
    size_t *len_out, struct err *e);
/* The same for calls that answer with JSON; out may be NULL. */
int h2_call_json(struct h2 *h, const char *method, const char *target,
    struct json **out, struct err *e);

#endif
