/*
 * One HTTP request, for monitoring and load balancers.  Runs in a process of
 * its own for each connection, whose other end is anybody who may connect: of
 * what it sends, the first line is compared with the two that we know.
 */
#include "config.h"

#include "admin/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <poll.h>

#include "common/err.h"
#include "common/io.h"
#include "common/sbuf.h"

#define REQUEST_MAX 8192
#define REQUEST_MS 5000
#define ANSWER_MAX ((size_t)16 << 20)

enum what {
	WHAT_METRICS,
	WHAT_HEALTH,
	WHAT_OTHER,
};

/* The head of the request; what does not come in time, or at all, is no
 * request. */
static int
read_head(char *buf, size_t size)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t until = io_monotonic_ms() + REQUEST_MS, now;
	size_t len = 0;
	ssize_t n;

	while (len < size - 1) {
		now = io_monotonic_ms();
		if (now >= until || poll(&p, 1, (int)(until - now)) != 1)
			return -1;
		n = read(STDIN_FILENO, buf + len, size - 1 - len);
		if (n <= 0)
			return -1;
		len += (size_t)n;
		buf[len] = '\0';
		if (strstr(buf, "\r\n\r\n") != NULL)
			return 0;
	}
	return -1;
}

static enum what
what_is_asked(const char *head)
{
	static const char *const begin[] = {
	    [WHAT_METRICS] = "GET /metrics HTTP/1.",
	    [WHAT_HEALTH] = "GET /health HTTP/1.",
	};
	size_t i;

	for (i = 0; i < sizeof(begin) / sizeof(begin[0]); i++)
		if (strncmp(head, begin[i], strlen(begin[i])) == 0)
			return (enum what)i;
	return WHAT_OTHER;
}

static int
answer(const char *status, const char *type, const char *body, size_t len,
    struct err *e)
{
	struct sbuf b;
	int rv;

	sbuf_init(&b, ANSWER_MAX);
	sbuf_add_fmt(&b,
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n",
	    status, type, len);
	sbuf_add(&b, body, len);
	rv = b.overflow ? err_set(e, ERR_LIMIT, "the answer is too long")
			: io_write_full(STDOUT_FILENO, b.data, b.len, e);
	sbuf_fini(&b);
	return rv;
}

static int
answer_metrics(const struct metrics *m, struct err *e)
{
	struct sbuf b;
	int rv;

	sbuf_init(&b, ANSWER_MAX);
	metrics_write(&b, m);
	rv = answer("200 OK", "text/plain; version=0.0.4; charset=utf-8",
	    sbuf_str(&b), b.len, e);
	sbuf_fini(&b);
	return rv;
}

static int
answer_health(const struct metrics *m, struct err *e)
{
	const char *trouble = metrics_trouble(m);
	char body[128];

	snprintf(body, sizeof(body), "%s\n", trouble != NULL ? trouble : "ok");
	return answer(trouble != NULL ? "503 Service Unavailable" : "200 OK",
	    "text/plain", body, strlen(body), e);
}

int
metrics_serve(const char *run_dir, struct err *e)
{
	static const char other[] = "/metrics and /health are here\n";
	char head[REQUEST_MAX];
	struct metrics m;
	enum what what;
	int rv;

	if (read_head(head, sizeof(head)) == -1)
		return 0;
	what = what_is_asked(head);
	if (what == WHAT_OTHER)
		return answer("404 Not Found", "text/plain", other,
		    strlen(other), e);
	metrics_gather(&m, run_dir);
	rv =
	    what == WHAT_METRICS ? answer_metrics(&m, e) : answer_health(&m, e);
	metrics_fini(&m);
	return rv;
}
