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
#include "common/mem.h"
#include "common/msg.h"
#include "common/str.h"
#include "validator/task.h"

#define STAMP_LEN 27 /* time, colon, blank in front of each line */

/* --- the list --- */

struct listed {
	const char *upid;
	const char *status;
	int64_t endtime;
	uint64_t start;
};

struct listing {
	const struct task_filter *f;
	struct listed *v; /* what passed the filter */
	size_t n, cap;
};

static uint32_t
status_flag(const char *status)
{
	if (strcmp(status, "OK") == 0)
		return TASK_FLAG_OK;
	if (strncmp(status, "WARNINGS: ", 10) == 0)
		return TASK_FLAG_WARNING;
	if (strcmp(status, "unknown") == 0)
		return TASK_FLAG_UNKNOWN;
	return TASK_FLAG_ERROR;
}

static bool
flags_pass(uint32_t wanted, int64_t endtime, const char *status)
{
	uint32_t flag = endtime != 0 ? status_flag(status) : 0;

	if ((wanted & TASK_FLAG_RUNNING) && endtime != 0)
		return false;
	if ((wanted & TASK_FLAG_ERRORS) && (flag & TASK_FLAGS_FAILED) == 0)
		return false;
	return (wanted & TASK_FLAGS_STATUS) == 0 || (wanted & flag) != 0;
}

static bool
has_part(const char *text, const char *part)
{
	return part == NULL || strstr(text, part) != NULL;
}

static bool
filter_passes(const struct task_filter *f, const struct upid *u,
    int64_t endtime, const char *status)
{
	int64_t start = (int64_t)u->start;

	if (f->store != NULL && f->store[0] != '\0' &&
	    !upid_is_on_store(u, f->store))
		return false;
	if (start < f->since || (f->until != 0 && start > f->until))
		return false;
	return flags_pass(f->flags, endtime, status) &&
	    has_part(u->auth_id, f->user) && has_part(u->type, f->type) &&
	    (f->auth_id == NULL || task_is_visible(u, f->auth_id));
}

/* All of it stays lent until the list is told. */
static int
listing_add(struct listing *l, const char *upid, int64_t endtime,
    const char *status, struct err *e)
{
	size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
	struct upid u;

	if (upid_parse(&u, upid, NULL) == -1 ||
	    !filter_passes(l->f, &u, endtime, status))
		return 0;
	if (l->n == l->cap) {
		if (mem_grow(&l->v, cap, sizeof(*l->v), e) == -1)
			return -1;
		l->cap = cap;
	}
	l->v[l->n++] = (struct listed){upid, status, endtime, u.start};
	return 0;
}

/* "UPID endtime status" */
static int
listing_add_line(struct listing *l, char *line, struct err *e)
{
	unsigned long long endtime;
	char *end, *status;

	if ((end = strchr(line, ' ')) == NULL)
		return 0;
	*end++ = '\0';
	endtime = strtoull(end, &status, 16);
	if (status == end || *status != ' ' || endtime == 0)
		return 0;
	return listing_add(l, line, (int64_t)endtime, status + 1, e);
}

/* *data_out, which is lent from then on, is the caller's. */
static int
listing_add_file(struct listing *l, int dirfd, const char *name,
    char **data_out, struct err *e)
{
	char *line, *end, *stop;
	size_t len;
	int rv = 0;

	if (io_read_file(dirfd, name, 2 * TASK_INDEX_MAX, data_out, &len, e) ==
	    -1)
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	stop = *data_out + len;
	for (line = *data_out; rv == 0 && line < stop; line = end + 1) {
		end = memchr(line, '\n', (size_t)(stop - line));
		if (end == NULL)
			end = stop;
		*end = '\0';
		rv = listing_add_line(l, line, e);
	}
	return rv;
}

static int
cmp_newest_first(const void *a, const void *b)
{
	const struct listed *ta = a, *tb = b;

	if (ta->start != tb->start)
		return ta->start < tb->start ? 1 : -1;
	return strcmp(tb->upid, ta->upid);
}

/* A task that ends while it is looked for is also among the running ones, and
 * may be in both files: once is enough, and its end counts. */
static void
listing_unique(struct listing *l)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (n == 0 || strcmp(l->v[n - 1].upid, l->v[i].upid) != 0)
			l->v[n++] = l->v[i];
		else if (l->v[i].endtime != 0)
			l->v[n - 1] = l->v[i];
	}
	l->n = n;
}

static void
listing_tell(const struct listing *l, task_each_fn *fn, void *arg)
{
	uint64_t limit = l->f->limit, i;

	if (limit == 0 || limit > TASK_LIST_MAX)
		limit = TASK_LIST_MAX;
	for (i = l->f->start; i < l->n && i - l->f->start < limit; i++)
		fn(arg, l->v[i].upid, l->v[i].endtime, l->v[i].status);
}

int
task_list(int dirfd, const char *const *running, size_t n,
    const struct task_filter *f, task_each_fn *fn, void *arg,
    uint64_t *total_out, struct err *e)
{
	struct listing l = {.f = f};
	char *ended[2] = {NULL, NULL};
	struct err why;
	size_t i;
	int rv = 0;

	for (i = 0; rv == 0 && i < n; i++)
		rv = listing_add(&l, running[i], 0, "", &why);
	if (rv == 0)
		rv = listing_add_file(&l, dirfd, "index", &ended[0], &why);
	if (rv == 0)
		rv = listing_add_file(&l, dirfd, "index.1", &ended[1], &why);
	if (rv == -1 && e != NULL)
		*e = why;
	if (rv == 0) {
		if (l.n > 1)
			qsort(l.v, l.n, sizeof(*l.v), cmp_newest_first);
		listing_unique(&l);
		listing_tell(&l, fn, arg);
		*total_out = l.n;
	}
	free(l.v);
	free(ended[0]);
	free(ended[1]);
	return rv;
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
