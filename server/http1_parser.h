#ifndef SERVER_HTTP1_PARSER_H
#define SERVER_HTTP1_PARSER_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct http1_parser;
struct request;

/*
 * HTTP/1.1 requests from bytes, one after the other.  Wraps http-parser;
 * strict, and with limits, since two readings of one request are an attack.
 */
#define HTTP1_HEAD_MAX (64u << 10) /* request line and headers */

enum http1_event {
	HTTP1_MORE,  /* everything was taken */
	HTTP1_HEAD,  /* the head is complete: in the request and below */
	HTTP1_END,   /* the request is complete */
	HTTP1_ERROR, /* the connection is of no more use; see error */
};

struct http1_head {
	int keep_alive;      /* the connection may go on afterwards */
	int http_1_0;        /* and then has to be told so */
	int expect_continue; /* the client waits before it sends the body */
	int has_body;
	int target_too_long; /* wire-protocol 1.4: 414 */
	int status;          /* of HTTP1_ERROR: 400 or 431 */
	struct err error;    /* likewise */
};

typedef void http1_body_fn(void *arg, const uint8_t *p, size_t len);

struct http1_parser *http1_parser_new(http1_body_fn *body, void *arg);
void http1_parser_free(struct http1_parser *p);

/* The next request goes here; req stays the caller's. */
void http1_parser_start(struct http1_parser *p, struct request *req);
/* Takes bytes up to the next event and returns how many; the rest is to be
 * fed again.  The body goes to the function. */
size_t http1_parser_feed(struct http1_parser *p, const uint8_t *data,
    size_t len, enum http1_event *event_out);
const struct http1_head *http1_parser_head(const struct http1_parser *p);
/* 1 if bytes of the request were taken already. */
int http1_parser_begun(const struct http1_parser *p);

#endif
