/*
 * holdfast task list, log, stop, and garbage-collect, which is a task that is
 * waited for.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/call.h"
#include "client/client.h"
#include "client/remote.h"
#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/format/upid.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/table.h"

#define TASKS "/api2/json/nodes/localhost/tasks"
#define LOG_PAGE 500
#define LOG_STAMP_LEN 27 /* time, colon, blank */
#define LIST_DEFAULT 50

static const struct table_col task_cols[] = {
    {"starttime", "started", TABLE_TIME},
    {"endtime", "ended", TABLE_TIME},
    {"user", "user", TABLE_STR},
    {"status", "status", TABLE_STR},
    {"upid", "task", TABLE_UPID},
    {NULL, NULL, TABLE_STR},
};

/* ".../tasks/UPID/what", the UPID encoded. */
static void
task_target(struct sbuf *target, const char *upid, const char *what)
{
	char *encoded = str_percent_encode(upid);

	sbuf_init(target, 4096);
	sbuf_add_str(target, TASKS "/");
	sbuf_add_str(target, encoded);
	sbuf_add_str(target, what);
	free(encoded);
}

int
client_task_list(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	char user[AUTH_ID_MAX + 1];
	const struct repository *repo;
	struct json *rows;
	struct call c;
	int rv = call_open_path(&c, o, TASKS, e);

	(void)nargs;
	(void)args;
	if (rv == 0) {
		repo = remote_repository(c.remote);
		auth_id_to_str(&repo->auth_id, user);
		call_add(&c, "store", repo->store);
		call_add_u64(&c, "limit",
		    o->limit.given ? o->limit.v : LIST_DEFAULT);
		if (!o->all) {
			call_add(&c, "running", "true");
			call_add(&c, "userfilter", user);
		}
		rv = call_run_list(&c, "GET", &rows, e);
	}
	if (rv == 0) {
		table_print(stdout, (enum output_format)o->output_format,
		    task_cols, rows);
		json_free(&rows);
	}
	call_close(&c);
	return rv;
}

int
client_task_stop(void *values, int nargs, char **args, struct err *e)
{
	struct sbuf target;
	struct upid u;
	struct call c;
	int rv;

	(void)nargs;
	if (upid_parse(&u, args[0], e) == -1)
		return -1;
	task_target(&target, args[0], "");
	rv = call_open_path(&c, values, sbuf_str(&target), e);
	if (rv == 0)
		rv = call_run(&c, "DELETE", NULL, e);
	call_close(&c);
	sbuf_fini(&target);
	return rv;
}

/* ---- following a log */

struct follow {
	struct remote *remote;
	const char *upid;
	uint64_t next; /* line */
	int active;
	bool more; /* the page was full */
};

static void
print_line(const char *text)
{
	size_t len = strlen(text);
	char *line;

	/* The time in front is for the server's log. */
	if (len >= LOG_STAMP_LEN && text[25] == ':' && text[26] == ' ') {
		text += LOG_STAMP_LEN;
		len -= LOG_STAMP_LEN;
	}
	line = xmalloc(4 * len + 1);
	puts(str_vis(line, 4 * len + 1, text));
	free(line);
}

static int
print_page(struct follow *f, const struct json *answer, struct err *e)
{
	const struct json *lines = json_get(answer, "data"), *line, *active;
	const char *text;
	uint64_t n;
	size_t i;

	active = json_get(answer, "active");
	if (lines == NULL || json_type(lines) != JSON_ARRAY || active == NULL ||
	    json_bool(active, &f->active) == -1)
		return err_set(e, ERR_CORRUPT,
		    "the server's answer is not a log");
	for (i = 0; i < json_len(lines); i++) {
		line = json_at(lines, i);
		text = json_type(line) == JSON_OBJECT
		    ? json_get_str(line, "t", NULL)
		    : NULL;
		if (text == NULL ||
		    json_get_u64(line, "n", 1, UINT32_MAX, &n, NULL) == -1 ||
		    n != f->next)
			return err_set(e, ERR_CORRUPT,
			    "the server's log has lines that do not follow");
		print_line(text);
		f->next++;
	}
	f->more = i == LOG_PAGE;
	fflush(stdout);
	return 0;
}

static int
fetch_page(struct follow *f, struct err *e)
{
	struct call c = {.remote = f->remote};
	struct json *answer;
	int rv;

	task_target(&c.target, f->upid, "/log");
	call_add_u64(&c, "start", f->next);
	call_add_u64(&c, "limit", LOG_PAGE);
	call_add(&c, "test-status", "true");
	rv = call_run_whole(&c, &answer, e);
	call_close(&c);
	if (rv == -1)
		return -1;
	rv = json_type(answer) == JSON_OBJECT
	    ? print_page(f, answer, e)
	    : err_set(e, ERR_CORRUPT, "the server's answer is not a log");
	json_free(&answer);
	return rv;
}

/* OK and warnings are success. */
static int
check_end(struct follow *f, struct err *e)
{
	struct call c = {.remote = f->remote};
	const char *status = NULL;
	struct json *answer;
	int rv;

	task_target(&c.target, f->upid, "/status");
	rv = call_run(&c, "GET", &answer, e);
	call_close(&c);
	if (rv == -1)
		return -1;
	if (json_type(answer) == JSON_OBJECT)
		status = json_get_str(answer, "exitstatus", NULL);
	if (status == NULL ||
	    (strcmp(status, "OK") != 0 &&
		strncmp(status, "WARNINGS", strlen("WARNINGS")) != 0))
		rv = err_set(e, ERR_ABORTED, "the task failed: %s",
		    status != NULL ? STR_VIS(status) : "no status");
	json_free(&answer);
	return rv;
}

/* Prints what a task logs until it ends. */
static int
follow_task(struct remote *r, const char *upid, struct err *e)
{
	static const struct timespec second = {.tv_sec = 1};
	struct follow f = {
	    .remote = r,
	    .upid = upid,
	    .next = 1,
	    .active = 1,
	};

	/* What was written before it ended is there once it is not active
	 * any more. */
	while (f.active || f.more) {
		if (fetch_page(&f, e) == -1)
			return -1;
		if (f.active && !f.more)
			nanosleep(&second, NULL);
	}
	return check_end(&f, e);
}

int
client_task_log(void *values, int nargs, char **args, struct err *e)
{
	struct remote *r;
	struct upid u;
	int rv;

	(void)nargs;
	if (upid_parse(&u, args[0], e) == -1)
		return -1;
	r = remote_open(values, e);
	if (r == NULL)
		return -1;
	rv = follow_task(r, args[0], e);
	remote_close(r);
	return rv;
}

int
client_garbage_collect(void *values, int nargs, char **args, struct err *e)
{
	struct json *data;
	struct upid u;
	struct call c;
	int rv = call_open(&c, values, "gc", e);

	(void)nargs;
	(void)args;
	if (rv == 0)
		rv = call_run(&c, "POST", &data, e);
	if (rv == 0) {
		rv = json_type(data) == JSON_STRING
		    ? upid_parse(&u, json_str(data), e)
		    : err_set(e, ERR_CORRUPT, "the server names no task");
		if (rv == 0)
			rv = follow_task(c.remote, json_str(data), e);
		json_free(&data);
	}
	call_close(&c);
	return rv;
}
