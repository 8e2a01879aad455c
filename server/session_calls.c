/*
 * The calls of a session that need no file of their own: the list of calls,
 * the time of the base, finish, speed tests.  Runs in a worker.
 */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <errno.h>

#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/h2.h"
#include "server/request.h"
#include "server/router.h"
#include "server/session_int.h"
#include "server/session_http.h"
#include "server/vclient.h"

#define SPEEDTEST_LEN ((size_t)1 << 20)

/* GET /: the names that can be called (wire-protocol 4.3.3), as the original
 * lists folders. */
void
session_list(struct request *req)
{
	struct json *list = json_new_array(), *item;
	const struct route *routes;
	size_t n, i, j;

	routes = session_routes(session_of(req)->kind, &n);
	for (i = 0; i < n; i++) {
		for (j = 0; j < i; j++) {
			if (strcmp(routes[i].pattern, routes[j].pattern) == 0)
				break;
		}
		if (j < i || routes[i].pattern[0] == '\0')
			continue;
		item = json_new_object();
		json_set_str(item, "subdir", routes[i].pattern);
		json_append(list, item);
	}
	request_reply_json(req, list);
}

void
session_previous_time(struct request *req)
{
	int64_t t = session_of(req)->base_time;

	request_reply_json(req, t != 0 ? json_new_i64(t) : NULL);
}

/* --- finish ------------------------------------------------------------- */

/* FINISH_WAIT comes any number of times before the end; the task log has it
 * already. */
static void
finish_answered(void *arg, struct vclient_reply *r, const struct err *e)
{
	struct session_call *c = arg;
	struct session *s = c->s;
	struct request *req;

	if (e == NULL && r->type == MSG_ID_FINISH_WAIT) {
		log_debug("session", "finish waits left=%llu",
		    (unsigned long long)r->finish_wait->left);
		return;
	}
	s->finishing = false;
	s->finished = e == NULL;
	req = session_call_take(c);
	session_call_free(c);
	if (req == NULL)
		return;
	if (e != NULL)
		request_reply_err(req, e);
	else
		request_reply_json(req, NULL);
}

void
session_finish(struct request *req)
{
	struct session *s = session_of(req);
	struct msg_FINISH m = {0};

	if (session_can_change(s, req) == -1)
		return;
	s->finishing = true;
	vclient_finish(s->v, &m, finish_answered,
	    session_call_new(req, NULL, NULL));
}

/* --- speed tests -------------------------------------------------------- */

static void
speedtest_end(struct request *req)
{
	request_reply_json(req, NULL);
}

static const struct request_sink speedtest_sink = {
    .end = speedtest_end,
};

void
session_speedtest(struct request *req)
{
	if (session_can_change(session_of(req), req) == -1)
		return;
	req->sink = &speedtest_sink;
	h2_allow_any(req);
}

/* One memory file for all of them: 256 streams may ask at a time. */
static int
speedtest_file(struct session *s, struct err *e)
{
	char *body;
	int fd;

	if (s->speedtest_fd == -1) {
		body = xmalloc(SPEEDTEST_LEN);
		memset(body, 'A', SPEEDTEST_LEN);
		s->speedtest_fd =
		    io_memfd_data("speedtest", body, SPEEDTEST_LEN, e);
		free(body);
		if (s->speedtest_fd == -1)
			return -1;
	}
	fd = fcntl(s->speedtest_fd, F_DUPFD_CLOEXEC, 0);
	return fd != -1 ? fd : err_errno(e, errno, "speedtest");
}

void
session_read_speedtest(struct request *req)
{
	struct err e;
	int fd = speedtest_file(session_of(req), &e);

	if (fd == -1)
		request_reply_err(req, &e);
	else
		request_reply_fd(req, fd, SPEEDTEST_LEN);
}
