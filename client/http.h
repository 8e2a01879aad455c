#ifndef CLIENT_HTTP_H
#define CLIENT_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json;
struct sbuf;
struct tls;

/*
 * HTTP/1.1 requests, one at a time, over a connection that stays open.
 */
struct http;

#define HTTP_TIMEOUT_MS (120 * 1000) /* for the head of an answer */
#define HTTP_BODY_MAX (256u << 20)

struct http_request {
	const char *method;
	const char *target;       /* path and query */
	const char *host;         /* "host:port" */
	const char *headers;      /* further lines, each with CRLF, or NULL */
	const char *content_type; /* NULL: no body */
	const void *body;
	size_t body_len;
};

struct http_reply {
	int status;
	char *body; /* with a NUL behind it; http_reply_fini() */
	size_t body_len;
};

/* The connection stays the caller's. */
struct http *http_new(struct tls *t);
void http_free(struct http *h);

/* Blocks.  Any status is a success here. */
int http_send(struct http *h, const struct http_request *q,
    struct http_reply *out, struct err *e);
void http_reply_fini(struct http_reply *r);
/* After a 101: the bytes behind its head, which are HTTP/2; lent. */
const uint8_t *http_rest(const struct http *h, size_t *len_out);

/* Whether an answer is an error; fills e with the server's text. */
int http_check_status(int status, const char *body, size_t len, struct err *e);
/* The member "data" of an answer of either protocol; the caller frees.  An
 * empty body is a JSON null. */
struct json *http_data(const char *body, size_t len, struct err *e);

/* Adds "?key=value" or "&key=value", encoded; a NULL value adds nothing. */
void http_add_query(struct sbuf *target, const char *key, const char *value);
void http_add_query_u64(struct sbuf *target, const char *key, uint64_t value);

/* The head of an answer, for the parser's test: its length, 0 if it is not
 * complete, -1.  body_len_out is -1 for a chunked body. */
struct http_head {
	int status;
	int64_t body_len;
};
long http_parse_head(const char *buf, size_t len, struct http_head *out,
    struct err *e);

#endif
