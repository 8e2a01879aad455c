/*
 * HTTP/1.1 for holdfast: what an answer of a backup server needs and no
 * more.  Distrusts the server: every length is limited before it is used.
 */
#include "config.h"

#include "client/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/tls.h"
#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

#define HEAD_MAX 16384
#define READ_SIZE 65536
#define CHUNK_LINE_MAX 128

struct http {
	struct tls *tls;
	uint8_t *buf; /* what was read and not yet used */
	size_t len;
	size_t cap;
};

struct http *
http_new(struct tls *t)
{
	struct http *h = xcalloc(1, sizeof(*h));

	h->tls = t;
	h->cap = HEAD_MAX + READ_SIZE;
	h->buf = xmalloc(h->cap);
	return h;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	mem_wipe_free(h->buf, h->cap);
	free(h);
}

const uint8_t *
http_rest(const struct http *h, size_t *len_out)
{
	*len_out = h->len;
	return h->buf;
}

static void
consume(struct http *h, size_t n)
{
	memmove(h->buf, h->buf + n, h->len - n);
	h->len -= n;
}

/* More bytes, READ_SIZE at most, into memory of the caller's. */
static int
read_bytes(struct http *h, void *buf, size_t size, size_t *n_out, struct err *e)
{
	ssize_t n;

	while ((n = tls_read(h->tls, buf, size, e)) == TLS_AGAIN)
		if (tls_wait(h->tls, HTTP_TIMEOUT_MS, e) == -1)
			return -1;
	if (n == 0)
		return err_set(e, ERR_UNAVAILABLE,
		    "the server closed the connection");
	if (n < 0)
		return -1;
	*n_out = (size_t)n;
	return 0;
}

static int
read_more(struct http *h, struct err *e)
{
	size_t n = 0;

	if (h->len == h->cap)
		return err_set(e, ERR_LIMIT, "the server's answer is too long");
	if (read_bytes(h, h->buf + h->len, h->cap - h->len, &n, e) == -1)
		return -1;
	h->len += n;
	return 0;
}

static int
write_all(struct http *h, const void *data, size_t len, struct err *e)
{
	const uint8_t *p = data;
	ssize_t n;

	while (len > 0) {
		n = tls_write(h->tls, p, len, e);
		if (n == TLS_AGAIN) {
			if (tls_wait(h->tls, HTTP_TIMEOUT_MS, e) == -1)
				return -1;
			continue;
		}
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
send_request(struct http *h, const struct http_request *q, struct err *e)
{
	struct sbuf b;
	int rv;

	sbuf_init(&b, HEAD_MAX);
	sbuf_add_fmt(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q->method, q->target,
	    q->host);
	sbuf_add_fmt(&b, "User-Agent: holdfast/%s\r\n", PACKAGE_VERSION);
	if (q->headers != NULL)
		sbuf_add_str(&b, q->headers);
	if (q->content_type != NULL)
		sbuf_add_fmt(&b, "Content-Type: %s\r\n", q->content_type);
	sbuf_add_fmt(&b, "Content-Length: %zu\r\n\r\n", q->body_len);
	if (b.overflow)
		rv = err_set(e, ERR_LIMIT, "the request is too long");
	else
		rv = write_all(h, b.data, b.len, e);
	sbuf_fini(&b);
	if (rv == 0 && q->body_len > 0)
		rv = write_all(h, q->body, q->body_len, e);
	return rv;
}

/* "HTTP/1.1 200 OK" */
static int
parse_status(const char *line, size_t len, int *out)
{
	uint64_t v;

	if (len < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
	    (len > 12 && line[12] != ' ') ||
	    str_to_u64_mem(line + 9, 3, 100, 599, &v) == -1)
		return -1;
	*out = (int)v;
	return 0;
}

static int
has_name(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && line[n] == ':' && strncasecmp(line, name, n) == 0;
}

static int
parse_header(const char *line, size_t len, struct http_head *out)
{
	const char *value = memchr(line, ':', len), *end = line + len;
	uint64_t v;

	if (value == NULL)
		return -1;
	value++;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (has_name(line, len, "content-length")) {
		if (str_to_u64_mem(value, (size_t)(end - value), 0,
			HTTP_BODY_MAX, &v) == -1)
			return -1;
		if (out->body_len != -1)
			out->body_len = (int64_t)v;
	} else if (has_name(line, len, "transfer-encoding")) {
		if (end - value != 7 || strncasecmp(value, "chunked", 7) != 0)
			return -1;
		out->body_len = -1;
	}
	return 0;
}

long
http_parse_head(const char *buf, size_t len, struct http_head *out,
    struct err *e)
{
	const char *line = buf, *stop, *eol;
	int first = 1, rc;

	stop = memmem(buf, len, "\r\n\r\n", 4);
	if (stop == NULL)
		return len < HEAD_MAX
		    ? 0
		    : err_set(e, ERR_LIMIT, "the answer's head is too long");
	out->body_len = 0;
	while (line < stop) {
		eol = memmem(line, (size_t)(stop + 2 - line), "\r\n", 2);
		rc = first
		    ? parse_status(line, (size_t)(eol - line), &out->status)
		    : parse_header(line, (size_t)(eol - line), out);
		if (rc == -1)
			return err_set(e, ERR_CORRUPT,
			    "not an answer of a backup server: %s",
			    STR_VIS_MEM(line, (size_t)(eol - line)));
		first = 0;
		line = eol + 2;
	}
	if (first)
		return err_set(e, ERR_CORRUPT, "empty answer");
	return stop + 4 - buf;
}

/* Exactly len more bytes of the body. */
static int
read_body(struct http *h, struct http_reply *out, size_t len, struct err *e)
{
	size_t n;
	char *body;

	if (len > HTTP_BODY_MAX - out->body_len)
		return err_set(e, ERR_LIMIT, "the server's answer is too long");
	body = realloc(out->body, out->body_len + len + 1);
	if (body == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	out->body = body;
	while (len > 0) {
		n = h->len < len ? h->len : len;
		if (n > 0) {
			memcpy(out->body + out->body_len, h->buf, n);
			consume(h, n);
		} else if (read_bytes(h, out->body + out->body_len, len, &n,
			       e) == -1) {
			return -1;
		}
		out->body_len += n;
		len -= n;
	}
	out->body[out->body_len] = '\0';
	return 0;
}

/* A line of a chunked body, without its end. */
static int
read_line(struct http *h, char line[CHUNK_LINE_MAX], struct err *e)
{
	const uint8_t *eol;
	size_t n;

	while ((eol = memmem(h->buf, h->len, "\r\n", 2)) == NULL) {
		if (h->len >= CHUNK_LINE_MAX)
			return err_set(e, ERR_CORRUPT, "damaged answer");
		if (read_more(h, e) == -1)
			return -1;
	}
	n = (size_t)(eol - h->buf);
	if (n >= CHUNK_LINE_MAX)
		return err_set(e, ERR_CORRUPT, "damaged answer");
	memcpy(line, h->buf, n);
	line[n] = '\0';
	consume(h, n + 2);
	return 0;
}

static int
read_chunked(struct http *h, struct http_reply *out, struct err *e)
{
	char line[CHUNK_LINE_MAX], *end;
	unsigned long long n;

	for (;;) {
		if (read_line(h, line, e) == -1)
			return -1;
		n = strtoull(line, &end, 16);
		if (end == line || (*end != '\0' && *end != ';') ||
		    n > HTTP_BODY_MAX)
			return err_set(e, ERR_CORRUPT, "damaged answer");
		if (n == 0)
			break;
		if (read_body(h, out, n, e) == -1 ||
		    read_line(h, line, e) == -1)
			return -1;
		if (line[0] != '\0')
			return err_set(e, ERR_CORRUPT, "damaged answer");
	}
	do {
		if (read_line(h, line, e) == -1)
			return -1;
	} while (line[0] != '\0');
	return 0;
}

int
http_send(struct http *h, const struct http_request *q, struct http_reply *out,
    struct err *e)
{
	struct http_head head = {0};
	long n;
	int rv;

	memset(out, 0, sizeof(*out));
	if (send_request(h, q, e) == -1)
		return -1;
	while ((n = http_parse_head((char *)h->buf, h->len, &head, e)) == 0)
		if (read_more(h, e) == -1)
			return -1;
	if (n == -1)
		return -1;
	consume(h, (size_t)n);
	out->status = head.status;
	if (head.status == 101)
		return 0;
	if (head.body_len == -1)
		rv = read_chunked(h, out, e);
	else
		rv = read_body(h, out, (size_t)head.body_len, e);
	if (rv == -1)
		http_reply_fini(out);
	return rv;
}

void
http_reply_fini(struct http_reply *r)
{
	mem_wipe_free(r->body, r->body_len);
	memset(r, 0, sizeof(*r));
}

static enum err_code
code_of_status(int status)
{
	switch (status) {
	case 401:
		return ERR_AUTH;
	case 403:
		return ERR_PERM;
	case 404:
		return ERR_NOT_FOUND;
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return ERR_INVALID;
	}
}

int
http_check_status(int status, const char *body, size_t len, struct err *e)
{
	char text[ERR_MSG_MAX];

	if (status >= 200 && status < 300)
		return 0;
	if (len == 0)
		return err_set(e, code_of_status(status),
		    "the server answered with status %d", status);
	str_vis_mem(text, sizeof(text), body, len);
	return err_set(e, code_of_status(status), "%s", text);
}

struct json *
http_data(const char *body, size_t len, struct err *e)
{
	struct json *all, *data = NULL;
	const struct json *found;

	if (len == 0)
		return json_new_null();
	all = json_parse(body, len, JSON_DEPTH_DEFAULT, e);
	if (all == NULL) {
		err_wrap(e, "cannot understand the server's answer");
		return NULL;
	}
	found = json_type(all) == JSON_OBJECT ? json_get(all, "data") : NULL;
	if (found == NULL)
		err_set(e, ERR_CORRUPT, "the server's answer has no data");
	else
		data = json_dup(found);
	json_free(&all);
	return data;
}

void
http_add_query(struct sbuf *target, const char *key, const char *value)
{
	char *text;

	if (value == NULL)
		return;
	text = str_percent_encode(value);
	sbuf_add_fmt(target, "%c%s=%s",
	    strchr(sbuf_str(target), '?') != NULL ? '&' : '?', key, text);
	free(text);
}

void
http_add_query_u64(struct sbuf *target, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	http_add_query(target, key, text);
}
