/*
 * HTTP/1.1 heads and bodies.  Runs in a worker, on the bytes of a client that
 * nobody knows yet: the first thing behind TLS.
 */
#include "config.h"

#include "server/http1_parser.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <http_parser.h>

#include "common/mem.h"
#include "common/sbuf.h"
#include "server/request.h"
#include "server/router.h"

#define HTTP1_NAME_MAX 64 /* longer names are none of ours */

struct http1_parser {
	http_parser parser;
	struct request *req;
	http1_body_fn *body;
	void *arg;
	struct http1_head head;

	struct sbuf target;
	struct sbuf name;
	struct sbuf value;
	int in_value;
	int head_done; /* what follows are trailers, which are ignored */
	int begun;
	int failed;
};

static struct http1_parser *
self(http_parser *hp)
{
	return hp->data;
}

/* An error of ours rather than the parser's. */
static int
http1_refuse(struct http1_parser *p, int status, const struct err *e)
{
	p->head.status = status;
	p->head.error = *e;
	return -1;
}

static int
http1_on_url(http_parser *hp, const char *s, size_t len)
{
	/* Its limit is one more than what can pass; the rest is dropped. */
	if (self(hp)->target.len + len > self(hp)->target.max)
		self(hp)->head.target_too_long = 1;
	else
		sbuf_add(&self(hp)->target, s, len);
	return 0;
}

/* "expect: 100-continue" is ours; the rest is for the request. */
static int
http1_header_done(struct http1_parser *p)
{
	const char *name = sbuf_str(&p->name), *value = sbuf_str(&p->value);
	size_t len = p->value.len;
	struct err e = {0};
	int rv = 0;

	if (!p->in_value)
		return 0;
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (strcasecmp(name, "expect") == 0)
		p->head.expect_continue =
		    strncasecmp(value, "100-continue", 12) == 0;
	else if (!p->name.overflow &&
	    request_set_header(p->req, name, p->name.len, value, len, &e) == -1)
		rv = http1_refuse(p, 400, &e);
	sbuf_fini(&p->name);
	sbuf_init(&p->name, HTTP1_NAME_MAX);
	sbuf_fini(&p->value);
	sbuf_init(&p->value, HTTP1_HEAD_MAX);
	p->in_value = 0;
	return rv;
}

static int
http1_on_field(http_parser *hp, const char *s, size_t len)
{
	struct http1_parser *p = self(hp);
	struct err e = {0};

	if (p->head_done)
		return 0;
	if (http1_header_done(p) == -1)
		return -1;
	/* Debian's parser lets it pass (RFC 9112, 5.1). */
	if (memchr(s, ' ', len) != NULL) {
		err_set(&e, ERR_INVALID, "invalid HTTP request: blank in name");
		return http1_refuse(p, 400, &e);
	}
	sbuf_add(&p->name, s, len);
	return 0;
}

static int
http1_on_value(http_parser *hp, const char *s, size_t len)
{
	struct http1_parser *p = self(hp);

	if (p->head_done)
		return 0;
	p->in_value = 1;
	sbuf_add(&p->value, s, len);
	return 0;
}

static enum request_method
http1_method(unsigned int method)
{
	switch (method) {
	case HTTP_GET:
		return METHOD_GET;
	case HTTP_PUT:
		return METHOD_PUT;
	case HTTP_POST:
		return METHOD_POST;
	case HTTP_DELETE:
		return METHOD_DELETE;
	case HTTP_HEAD:
		return METHOD_HEAD;
	default:
		return METHOD_OTHER;
	}
}

/* "https://host/path" is "/path" (RFC 9112, 3.2.2). */
static const char *
http1_origin_form(const char *target)
{
	const char *authority = NULL;

	if (strncasecmp(target, "http://", 7) == 0)
		authority = target + 7;
	else if (strncasecmp(target, "https://", 8) == 0)
		authority = target + 8;
	if (authority == NULL)
		return target;
	target = authority + strcspn(authority, "/?#");
	return *target == '/' ? target : "/";
}

static int
http1_on_head(http_parser *hp)
{
	struct http1_parser *p = self(hp);
	const char *target, *mark;

	if (http1_header_done(p) == -1)
		return -1;
	p->head_done = 1;
	target = http1_origin_form(sbuf_str(&p->target));
	mark = strchr(target, '?');
	if (strlen(target) - (mark != NULL) > ROUTER_TARGET_MAX)
		p->head.target_too_long = 1;
	p->req->method = http1_method(hp->method);
	p->req->target = xstrdup(p->head.target_too_long ? "/" : target);
	p->head.http_1_0 = hp->http_minor == 0;
	p->head.keep_alive = http_should_keep_alive(hp);
	p->head.has_body = (hp->flags & F_CHUNKED) != 0 ||
	    (hp->content_length != 0 && hp->content_length != UINT64_MAX);
	http_parser_pause(hp, 1);
	return 0;
}

static int
http1_on_body(http_parser *hp, const char *s, size_t len)
{
	self(hp)->body(self(hp)->arg, (const uint8_t *)s, len);
	return 0;
}

static int
http1_on_end(http_parser *hp)
{
	http_parser_pause(hp, 1);
	return 0;
}

struct http1_parser *
http1_parser_new(http1_body_fn *body, void *arg)
{
	struct http1_parser *p = xcalloc(1, sizeof(*p));

	p->body = body;
	p->arg = arg;
	sbuf_init(&p->target, ROUTER_TARGET_MAX + 256);
	sbuf_init(&p->name, HTTP1_NAME_MAX);
	sbuf_init(&p->value, HTTP1_HEAD_MAX);
	http_parser_set_max_header_size(HTTP1_HEAD_MAX);
	return p;
}

static void
http1_parser_clear(struct http1_parser *p)
{
	sbuf_fini(&p->target);
	sbuf_fini(&p->name);
	sbuf_fini(&p->value);
}

void
http1_parser_free(struct http1_parser *p)
{
	if (p == NULL)
		return;
	http1_parser_clear(p);
	free(p);
}

void
http1_parser_start(struct http1_parser *p, struct request *req)
{
	http1_parser_clear(p);
	sbuf_init(&p->target, ROUTER_TARGET_MAX + 256);
	sbuf_init(&p->name, HTTP1_NAME_MAX);
	sbuf_init(&p->value, HTTP1_HEAD_MAX);
	p->req = req;
	p->in_value = p->head_done = p->begun = 0;
	memset(&p->head, 0, sizeof(p->head));
	http_parser_init(&p->parser, HTTP_REQUEST);
	p->parser.data = p;
}

static enum http1_event
http1_failed(struct http1_parser *p)
{
	enum http_errno no = HTTP_PARSER_ERRNO(&p->parser);

	p->failed = 1;
	if (p->head.status != 0)
		return HTTP1_ERROR;
	p->head.status = no == HPE_HEADER_OVERFLOW ? 431 : 400;
	err_set(&p->head.error, ERR_INVALID, "invalid HTTP request: %s",
	    http_errno_description(no));
	return HTTP1_ERROR;
}

size_t
http1_parser_feed(struct http1_parser *p, const uint8_t *data, size_t len,
    enum http1_event *event_out)
{
	static const http_parser_settings settings = {
	    .on_url = http1_on_url,
	    .on_header_field = http1_on_field,
	    .on_header_value = http1_on_value,
	    .on_headers_complete = http1_on_head,
	    .on_body = http1_on_body,
	    .on_message_complete = http1_on_end,
	};
	int had_head = p->head_done;
	size_t n;

	*event_out = p->failed ? HTTP1_ERROR : HTTP1_MORE;
	if (p->failed || len == 0)
		return 0;
	p->begun = 1;
	n = http_parser_execute(&p->parser, &settings, (const char *)data, len);
	if (HTTP_PARSER_ERRNO(&p->parser) == HPE_PAUSED) {
		http_parser_pause(&p->parser, 0);
		*event_out = p->head_done && !had_head ? HTTP1_HEAD : HTTP1_END;
	} else if (HTTP_PARSER_ERRNO(&p->parser) != HPE_OK)
		*event_out = http1_failed(p);
	return n;
}

const struct http1_head *
http1_parser_head(const struct http1_parser *p)
{
	return &p->head;
}

int
http1_parser_begun(const struct http1_parser *p)
{
	return p->begun;
}
