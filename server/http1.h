#ifndef SERVER_HTTP1_H
#define SERVER_HTTP1_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct event_base;
struct http1;
struct request;
struct tls_conn;

/*
 * HTTP/1.1 on a connection: one request after the other, pipelined or not,
 * until it ends or one of them takes the connection over (wire-protocol 1.2).
 * A connection without TLS gets redirects only.
 */
#define HTTP1_PENDING_MAX (64u << 10)   /* read ahead of the request in work */
#define HTTP1_DISCARD_MAX (1024u << 10) /* of a body that nobody wants */

/* Time limits; each is for the whole of it. */
#define HTTP1_HEAD_MS 30000  /* from the first byte of a request */
#define HTTP1_BODY_MS 300000 /* from the end of the head */
#define HTTP1_IDLE_MS 120000 /* between two requests */
#define HTTP1_SEND_MS 300000 /* until the client takes some of the reply */

struct http1_limits {
	unsigned int head_ms;
	unsigned int body_ms;
	unsigned int idle_ms;
	unsigned int send_ms;
};
extern const struct http1_limits http1_limits_default;

struct http1_cfg {
	struct event_base *base;
	const struct http1_limits *limits;
	void *app; /* for the requests */
	/* A head is complete: request_start() or a reply, now or later; until
	 * then the body waits. */
	void (*dispatch)(struct request *req);
	/* The connection is over and freed; why is NULL for an ordinary end.
	 * http1_free() is the callee's. */
	void (*closed)(void *arg, const struct err *why);
	void *arg;
};

/* Takes the connection, whose events are its own from now on. */
struct http1 *http1_new(struct tls_conn *conn, const struct http1_cfg *cfg);
/* Frees the connection too if it still has it.  NULL is accepted. */
void http1_free(struct http1 *h);
/* Answer what is in work, then close; an idle connection closes now. */
void http1_drain(struct http1 *h);

/*
 * For the handler of an upgrade: answers 101 and gives the connection away,
 * with the bytes behind the request (the caller frees *rest_out).  req is gone;
 * what is left of its http1 is for http1_free(), not from within its
 * callbacks.
 */
struct tls_conn *http1_upgrade(struct request *req, const char *protocol,
    uint8_t **rest_out, size_t *rest_len_out);

#endif
