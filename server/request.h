#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "server/params.h"

struct err;
struct event_base;
struct json;
struct request;
struct route;

/*
 * One request and its response, the same for HTTP/1.1 and for a stream of
 * HTTP/2 (the transports).  Its life:
 *
 *   transport: request_new(), fills the head, request_start()
 *   transport: request_data() as the body arrives, request_end()
 *   handler:   exactly one request_reply_*(), now or later
 *   transport: ops->respond(): sends req->res, then request_free()
 *
 * A route without ROUTE_RAW: the body is collected here, parameters are taken
 * from it, and the handler runs at the end of the body.  A raw route: the
 * handler runs with the head and sets sink for the body.
 */

/* 64 KiB in 3.2, this much since 3.4 (wire-protocol 1.4); one byte less is
 * the longest that passes. */
#define REQUEST_BODY_MAX (512u << 10)
#define REQUEST_DELAY_401_MS 3000 /* against guessing, 1.6 */
#define REQUEST_DELAY_403_MS 500

enum request_method {
	METHOD_GET,
	METHOD_PUT,
	METHOD_POST,
	METHOD_DELETE,
	METHOD_HEAD, /* a response without its body */
	METHOD_OTHER /* has no route anywhere */
};

/* Headers that anybody looks at. */
enum request_header {
	HEADER_CONTENT_TYPE,
	HEADER_COOKIE,
	HEADER_AUTHORIZATION,
	HEADER_CSRF,
	HEADER_UPGRADE,
	HEADER_HOST,
	HEADER_COUNT
};

struct request_ops {
	/* req->res is complete and the request is the transport's again. */
	void (*respond)(struct request *req);
	/* From inside request_start(): the body may come now.  May be NULL. */
	void (*started)(struct request *req);
	/* A stream that had nothing to give has some now.  NULL: a transport
	 * whose routes reply no streams. */
	void (*more)(struct request *req);
};

/* Where the body of a raw route goes.  NULL: thrown away. */
struct request_sink {
	void (*data)(struct request *req, const uint8_t *p, size_t len);
	void (*end)(struct request *req);
};

/* A body that is made while it is sent. */
struct response_stream {
	/* As response_read(), and RESPONSE_WAIT if there is nothing yet:
	 * ops->more() will tell. */
	ssize_t (*read)(void *arg, void *buf, size_t len, struct err *e);
	/* The last call, in any case. */
	void (*free)(void *arg);
};
#define RESPONSE_WAIT (-2)
#define RESPONSE_LEN_UNKNOWN UINT64_MAX

struct response {
	int status;
	const char *content_type; /* static, NULL: none */
	char *location;           /* of a redirect; NULL: none */
	char *body;               /* NULL: none, or from fd or stream */
	int fd;                   /* -1: none */
	const struct response_stream *stream; /* NULL: none */
	void *stream_arg;
	uint64_t off; /* bytes given by response_read() so far */
	uint64_t len; /* bytes in all; of a stream perhaps unknown */
};

struct request {
	/* The head; strings are the request's own. */
	enum request_method method;
	char *target;                /* path and query as received */
	char *headers[HEADER_COUNT]; /* NULL: not there */

	struct params params;
	struct response res;

	struct event_base *base;
	const struct request_ops *ops;
	void *transport; /* the transport's own */
	void *app;       /* what the routes serve: struct api, struct h2 */

	/* The handler's, from its first call until it replies. */
	void *state;
	const struct request_sink *sink;
	/* The client gave up before the reply: the handler frees its state
	 * and does not reply.  NULL: nothing to do. */
	void (*cancel)(struct request *req);
	unsigned int delay_min_ms; /* the reply waits at least so long */

	/* request.c's own. */
	const struct route *route;
	char *body;
	size_t body_len;
	size_t body_cap;
	int body_ended;
	int replied;
	struct event *delay;
};

struct request *request_new(struct event_base *base,
    const struct request_ops *ops, void *transport, void *app);
/* Calls cancel() if no reply was made.  NULL is accepted. */
void request_free(struct request *req);

/* A name not of the table is ignored.  A value is cut at nothing: the
 * transport limits the whole head.  -1: a header that must not come twice. */
int request_set_header(struct request *req, const char *name, size_t name_len,
    const char *value, size_t value_len, struct err *e);

/*
 * The head is complete and the route found (server/router.h).  Takes the
 * parameters of path and query; a raw route's handler runs now.  Body bytes
 * may have come before: the transport may first have to ask who it is.
 */
void request_start(struct request *req, const struct route *route);
/* Body bytes and the end of the body; ignored after the reply. */
void request_data(struct request *req, const uint8_t *p, size_t len);
void request_end(struct request *req);

/*
 * Replies, exactly one.  ops->respond() then comes from the loop, never from
 * inside: soon for most, after the delay of 1.6 for 401 and 403.
 */
/* {"data": data}; takes data, NULL means null. */
void request_reply_json(struct request *req, struct json *data);
/* The whole object, which has its member "data"; takes it. */
void request_reply_envelope(struct request *req, struct json *object);
/* Status by e's code, body the plain text. */
void request_reply_err(struct request *req, const struct err *e);
/* Any status with plain text, which is copied. */
void request_reply_text(struct request *req, int status, const char *text);
/* 200, application/octet-stream, the first len bytes of fd, which is
 * taken. */
void request_reply_fd(struct request *req, int fd, uint64_t len);
/* The same from memory; takes body (free()). */
void request_reply_raw(struct request *req, char *body, size_t len);
/* 200 with this content type (static) and len bytes, or
 * RESPONSE_LEN_UNKNOWN. */
void request_reply_stream(struct request *req, const char *type, uint64_t len,
    const struct response_stream *stream, void *arg);

/* Next bytes of the body into buf: how many, 0 at the end, RESPONSE_WAIT, or
 * -1 if it cannot be read or is shorter than announced.  May block on a
 * disk. */
ssize_t response_read(struct response *res, void *buf, size_t len,
    struct err *e);
/* "Bad Request" for 400; for statuses in use (1.6). */
const char *response_reason(int status);

#endif
