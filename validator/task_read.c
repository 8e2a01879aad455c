/*
 * Reads task logs and the index of ended tasks.  Runs in a thread of the
 * validator.  The files are our own, but lines hold text from outside, so
 * every line is parsed with its length.
 */
#include "config.h"

#include "validator/task_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/str.h"
#include "validator/task.h"

#define STAMP_LEN 27 /* time, colon, blank in front of each line */

/* --- the list --- */

struct listing {
	const struct task_filter *f;
	task_each_fn *fn;
	void *arg;
	uint64_t seen; /* tasks that passed the filter */
	bool full;     /* one more than asked for was seen */
};

static unsigned int
status_bit(const char *status)
{
	if (strcmp(status, "OK") == 0)
		return TASK_STATUS_OK;
	if (strncmp(status, "WARNINGS: ", 10) == 0)
		return TASK_STATUS_WARNING;
	if (strcmp(status, "unknown") == 0)
		return TASK_STATUS_UNKNOWN;
	return TASK_STATUS_ERROR;
}

static bool
filter_passes(const struct task_filter *f, const struct upid *u,
    int64_t endtime, const char *status)
{
	unsigned int bit = endtime != 0 ? status_bit(status) : 0;

	if (f->running && endtime != 0)
		return false;
	if (f->errors &&
	    (bit &
		(TASK_STATUS_ERROR | TASK_STATUS_WARNING |
		    TASK_STATUS_UNKNOWN)) == 0)
		return false;
	if (f->status != 0 && (f->status & bit) == 0)
		return false;
	if (f->store != NULL && f->store[0] != '\0' &&
	    !upid_is_on_store(u, f->store))
		return false;
	if (f->user != NULL && strstr(u->auth_id, f->user) == NULL)
		return false;
	if (f->type != NULL && strstr(u->type, f->type) == NULL)
		return false;
	if ((f->since != 0 && (int64_t)u->start < f->since) ||
	    (f->until != 0 && (int64_t)u->start > f->until))
		return false;
	return f->auth_id == NULL || task_is_visible(u, f->auth_id);
}

/* 0, or the non-zero value of fn. */
static int
listing_add(struct listing *l, const char *upid, int64_t endtime,
    const char *status)
{
	uint64_t limit = l->f->limit;
	struct upid u;

	if (upid_parse(&u, upid, NULL) == -1 ||
	    !filter_passes(l->f, &u, endtime, status))
		return 0;
	if (limit == 0 || limit > TASK_LIST_MAX)
		limit = TASK_LIST_MAX;
	l->seen++;
	if (l->seen <= l->f->start)
		return 0;
	if (l->seen - l->f->start > limit) {
		l->full = true;
		return 1;
	}
	return l->fn(l->arg, upid, endtime, status);
}

/* "UPID endtime status" */
static int
listing_add_line(struct listing *l, char *line)
{
	unsigned long long endtime;
	char *end, *status;

	if ((end = strchr(line, ' ')) == NULL)
		return 0;
	*end++ = '\0';
	endtime = strtoull(end, &status, 16);
	if (status == end || *status != ' ' || endtime == 0)
		return 0;
	return listing_add(l, line, (int64_t)endtime, status + 1);
}

/* The file's lines from the last to the first. */
static int
listing_add_file(struct listing *l, int dirfd, const char *name, struct err *e)
{
	char *data, *p, *line;
	size_t len;
	int rv = 0;

	if (io_read_file(dirfd, name, 2 * TASK_INDEX_MAX, &data, &len, e) == -1)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	for (p = data + len; rv == 0 && p > data;) {
		if (p[-1] == '\n')
			*--p = '\0';
		line = memrchr(data, '\n', (size_t)(p - data));
		line = line == NULL ? data : line + 1;
		rv = listing_add_line(l, line);
		p = line;
	}
	free(data);
	return rv;
}

int
task_list(int dirfd, const char *const *running, size_t n,
    const struct task_filter *f, task_each_fn *fn, void *arg,
    uint64_t *total_out, struct err *e)
{
	struct listing l = {.f = f, .fn = fn, .arg = arg};
	struct err err;
	size_t i;
	int rv = 0;

	for (i = 0; rv == 0 && i < n; i++)
		rv = listing_add(&l, running[i], 0, "");
	if (rv == 0 && !f->running)
		rv = listing_add_file(&l, dirfd, "index", &err);
	if (rv == 0 && !f->running)
		rv = listing_add_file(&l, dirfd, "index.1", &err);
	*total_out = l.seen;
	if (rv == -1) {
		if (e != NULL)
			*e = err;
		return -1;
	}
	return 0;
}

/* --- a log --- */

static FILE *
log_open(int dirfd, const struct upid *u, struct err *e)
{
	char name[TASK_NAME_MAX];
	FILE *f;
	int fd;

	task_log_name(u, name);
	if ((fd = io_openat(dirfd, name, O_RDONLY | O_NOFOLLOW, 0, e)) == -1)
		return NULL;
	if ((f = fdopen(fd, "r")) == NULL) {
		err_errno(e, errno, "cannot read the task log");
		close(fd);
	}
	return f;
}

int
task_log_read(int dirfd, const struct upid *u, uint64_t start, uint64_t limit,
    task_line_fn *fn, void *arg, uint64_t *total_out, struct err *e)
{
	char buf[TASK_LINE_MAX + 1];
	uint64_t n = 0;
	size_t len;
	FILE *f = log_open(dirfd, u, e);
	int rv = 0;

	if (f == NULL)
		return -1;
	if (start == 0)
		start = 1;
	/* A last line without its newline is still being written: not there
	 * yet, neither as data nor in the total. */
	while (rv == 0 && fgets(buf, sizeof(buf), f) != NULL) {
		len = strlen(buf);
		if (len == 0 || buf[len - 1] != '\n')
			break;
		buf[--len] = '\0';
		n++;
		if (n >= start && (limit == 0 || n - start < limit))
			rv = fn(arg, n, buf, len);
	}
	if (rv != 0)
		rv = err_set(e, ERR_LIMIT, "task log is too long");
	fclose(f);
	*total_out = n;
	return rv;
}

static int64_t
stamp_parse(const char *line)
{
	struct tm tm = {0};
	int hour, min;
	char sign;

	if (sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d%c%2d:%2d", &tm.tm_year,
		&tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
		&sign, &hour, &min) != 9)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) -
	    (sign == '-' ? -1 : 1) * (hour * 3600 + min * 60);
}

static void
status_of_line(const char *line, char *status, size_t size,
    int64_t *endtime_out)
{
	const char *text = line + STAMP_LEN;

	int64_t endtime = stamp_parse(line);

	if (endtime != 0)
		*endtime_out = endtime;
	if (strncmp(text, "TASK ERROR: ", 12) == 0 && text[12] != '\0')
		snprintf(status, size, "%s", text + 12);
	else if (strcmp(text, "TASK OK") == 0 ||
	    strncmp(text, "TASK WARNINGS: ", 15) == 0)
		snprintf(status, size, "%s", text + 5);
	else
		snprintf(status, size, "unknown");
}

int
task_log_status(int dirfd, const struct upid *u, char *status,
    size_t status_size, int64_t *endtime_out, struct err *e)
{
	char buf[TASK_LINE_MAX + 1], *line;
	size_t len;
	FILE *f = log_open(dirfd, u, e);

	if (f == NULL)
		return -1;
	snprintf(status, status_size, "unknown");
	*endtime_out = u->start;
	if (fseeko(f, -(off_t)TASK_LINE_MAX, SEEK_END) == -1)
		rewind(f);
	len = fread(buf, 1, TASK_LINE_MAX, f);
	fclose(f);
	if (len == 0 || buf[len - 1] != '\n')
		return 0;
	buf[--len] = '\0';
	line = memrchr(buf, '\n', len);
	line = line == NULL ? buf : line + 1;
	if (strlen(line) > STAMP_LEN)
		status_of_line(line, status, status_size, endtime_out);
	return 0;
}
