/*
 * Task logs: starting, writing, ending.  Runs in the validator's loop.  Lines
 * may hold text of workers and clients, which the callers escape; here lines
 * are cut, control characters replaced, and the length of a log is limited.
 */
#include "config.h"

#include "validator/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/sbuf.h"
#include "common/str.h"
#include "common/format/auth_id.h"

#define ACTIVE_MAX (16u << 20)
#define ACTIVE_SLACK 64 /* lines of "active" beyond twice those needed */

struct task {
	TAILQ_ENTRY(task) entry;
	struct tasks *tasks;
	struct upid upid;
	char text[UPID_STR_MAX + 1];
	int fd;
	size_t len;
	unsigned int warnings;
	bool cut; /* the log is full */
	void (*stop)(void *arg);
	void *stop_arg;
	void (*ended)(void *arg, const struct err *why);
	void *ended_arg;
};
TAILQ_HEAD(task_list, task);

struct tasks {
	int dirfd;
	char node[UPID_NODE_MAX + 1];
	uint64_t pstart;
	uint64_t next_id;
	struct task_list running; /* newest first */
	size_t nactive;           /* those, and orphans */
	int active_fd;            /* to append to "active"; -1: write it anew */
	size_t active_lines;
	struct task_count counts[TASK_TYPES_MAX]; /* "": the end */
	char **orphans; /* of the last process; NULL: adopted */
	size_t norphans;
};

/* --- names --- */

void
task_log_name(const struct upid *u, char out[TASK_NAME_MAX])
{
	snprintf(out, TASK_NAME_MAX, "%02X/%08X-%08X-%08llX-%08llX",
	    (unsigned int)(u->task_id & 0xff), u->start, u->pid,
	    (unsigned long long)u->pstart, (unsigned long long)u->task_id);
}

bool
task_is_own(const struct upid *u, const char *auth_id)
{
	return strcmp(u->auth_id, auth_id) == 0;
}

bool
task_is_visible(const struct upid *u, const char *auth_id)
{
	struct auth_id owner, actor;

	return auth_id_parse(&owner, u->auth_id, NULL) == 0 &&
	    auth_id_parse(&actor, auth_id, NULL) == 0 &&
	    auth_id_owns(&owner, &actor);
}

/* A host name with what the grammar does not know replaced. */
static void
node_name(char out[UPID_NODE_MAX + 1])
{
	char *p;

	if (gethostname(out, UPID_NODE_MAX) == -1)
		out[0] = '\0';
	out[UPID_NODE_MAX] = '\0';
	out[strcspn(out, ".")] = '\0';
	for (p = out; *p != '\0'; p++)
		if (strchr(
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			"0123456789-",
			*p) == NULL)
			*p = '-';
	if (out[0] == '\0' || out[0] == '-' || p[-1] == '-')
		snprintf(out, UPID_NODE_MAX + 1, "localhost");
}

/* Field 22 of /proc/self/stat: start of this process in clock ticks; what
 * stands before the last ")" may hold blanks. */
static uint64_t
process_start(void)
{
	char buf[1024], *p;
	unsigned long long v;
	ssize_t n;
	int fd, i;

	if ((fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = '\0';
	if ((p = strrchr(buf, ')')) == NULL)
		return 0;
	for (i = 2; i < 22 && p != NULL; i++)
		p = strchr(p + 1, ' ');
	if (p == NULL || sscanf(p, " %llu", &v) != 1)
		return 0;
	return v & 0xfffffffffULL; /* nine digits are all that a UPID holds */
}

/* --- the folder's files --- */

static void
tasks_write_active(struct tasks *t)
{
	struct sbuf b;
	struct task *k;
	struct err e;
	size_t i;

	sbuf_init(&b, ACTIVE_MAX);
	t->nactive = 0;
	TAILQ_FOREACH(k, &t->running, entry) {
		sbuf_add_fmt(&b, "%s\n", k->text);
		t->nactive++;
	}
	for (i = 0; i < t->norphans; i++) {
		if (t->orphans[i] == NULL)
			continue;
		sbuf_add_fmt(&b, "%s\n", t->orphans[i]);
		t->nactive++;
	}
	io_close(&t->active_fd);
	if (io_write_file_atomic(t->dirfd, "active", sbuf_str(&b), b.len, 0640,
		0, &e) == -1)
		log_err_e("task", &e, "cannot write the list of active tasks");
	else
		t->active_fd = io_openat(t->dirfd, "active",
		    O_WRONLY | O_APPEND | O_NOFOLLOW, 0, &e);
	t->active_lines = t->nactive;
	sbuf_fini(&b);
}

/* A line for what changed; all of them only now and then, since there may be
 * thousands. */
static void
tasks_note_active(struct tasks *t, const char *upid, bool ended)
{
	char line[UPID_STR_MAX + 3];
	int len =
	    snprintf(line, sizeof(line), "%s%s\n", ended ? "-" : "", upid);

	if (ended)
		t->nactive--;
	else
		t->nactive++;
	if (t->active_fd == -1 ||
	    t->active_lines >= 2 * t->nactive + ACTIVE_SLACK ||
	    io_write_full(t->active_fd, line, (size_t)len, NULL) == -1)
		tasks_write_active(t);
	else
		t->active_lines++;
}

static void
orphan_add(struct tasks *t, const char *upid)
{
	t->orphans =
	    xreallocarray(t->orphans, t->norphans + 1, sizeof(*t->orphans));
	t->orphans[t->norphans++] = xstrdup(upid);
	t->nactive++;
}

/* Its place, or norphans. */
static size_t
orphan_find(const struct tasks *t, const char *upid)
{
	size_t i;

	for (i = 0; i < t->norphans; i++)
		if (t->orphans[i] != NULL && strcmp(t->orphans[i], upid) == 0)
			break;
	return i;
}

static void
orphan_drop(struct tasks *t, size_t i)
{
	free(t->orphans[i]);
	t->orphans[i] = NULL;
}

static void
tasks_read_active(struct tasks *t)
{
	struct upid u;
	struct err e;
	char *data, *line, *rest;
	size_t len, i;

	if (io_read_file(t->dirfd, "active", ACTIVE_MAX, &data, &len, &e) ==
	    -1) {
		if (e.code != ERR_NOT_FOUND)
			log_err_e("task", &e,
			    "cannot read the list of active tasks");
		return;
	}
	rest = data;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '-') {
			i = orphan_find(t, line + 1);
			if (i < t->norphans) {
				orphan_drop(t, i);
				t->nactive--;
			}
		} else if (upid_parse(&u, line, NULL) == 0) {
			orphan_add(t, line);
		}
	}
	free(data);
}

/* Removes the logs that only the oldest index names. */
static void
index_drop_logs(struct tasks *t)
{
	char name[TASK_NAME_MAX], *data, *line, *rest;
	struct upid u;
	size_t len;

	if (io_read_file(t->dirfd, "index.1", 2 * TASK_INDEX_MAX, &data, &len,
		NULL) == -1)
		return;
	rest = data;
	while ((line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, " ")] = '\0';
		if (upid_parse(&u, line, NULL) == -1)
			continue;
		task_log_name(&u, name);
		unlinkat(t->dirfd, name, 0);
	}
	free(data);
}

static void
index_append(struct tasks *t, const char *upid, int64_t end, const char *status)
{
	struct stat st;
	struct sbuf b;
	struct err e;
	int fd;

	fd = io_openat(t->dirfd, "index", O_WRONLY | O_CREAT | O_APPEND, 0640,
	    &e);
	if (fd == -1) {
		log_err_e("task", &e, "cannot open the index of tasks");
		return;
	}
	sbuf_init(&b, TASK_LINE_MAX);
	sbuf_add_fmt(&b, "%s %08llX %s\n", upid, (unsigned long long)end,
	    status);
	if (io_write_full(fd, sbuf_str(&b), b.len, &e) == -1)
		log_err_e("task", &e, "cannot write the index of tasks");
	sbuf_fini(&b);
	if (fstat(fd, &st) == 0 && st.st_size > (off_t)TASK_INDEX_MAX) {
		index_drop_logs(t);
		if (renameat(t->dirfd, "index", t->dirfd, "index.1") == -1)
			log_warn_sys("task", "cannot rotate the index");
	}
	close(fd);
}

/* --- registry --- */

struct tasks *
tasks_open(int dirfd, struct err *e)
{
	struct tasks *t = xcalloc(1, sizeof(*t));
	char sub[4];
	int i;

	t->dirfd = dirfd;
	t->active_fd = -1;
	TAILQ_INIT(&t->running);
	for (i = 0; i < 256; i++) {
		snprintf(sub, sizeof(sub), "%02X", i);
		if (mkdirat(dirfd, sub, 0750) == -1 && errno != EEXIST) {
			err_errno(e, errno, "cannot make tasks/%s", sub);
			tasks_close(&t);
			return NULL;
		}
	}
	node_name(t->node);
	t->pstart = process_start();
	tasks_read_active(t);
	return t;
}

static void
task_free(struct task *k)
{
	io_close(&k->fd);
	free(k);
}

void
tasks_close(struct tasks **tp)
{
	struct tasks *t = *tp;
	struct task *k;
	size_t i;

	*tp = NULL;
	if (t == NULL)
		return;
	while ((k = TAILQ_FIRST(&t->running)) != NULL) {
		TAILQ_REMOVE(&t->running, k, entry);
		task_free(k);
	}
	for (i = 0; i < t->norphans; i++)
		free(t->orphans[i]);
	free(t->orphans);
	io_close(&t->active_fd);
	io_close(&t->dirfd);
	free(t);
}

int
tasks_dirfd(const struct tasks *t)
{
	return t->dirfd;
}

static int
task_open_log(struct task *k, struct err *e)
{
	char name[TASK_NAME_MAX];
	struct stat st;

	task_log_name(&k->upid, name);
	k->fd = io_openat(k->tasks->dirfd, name,
	    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640, e);
	if (k->fd == -1)
		return err_wrap(e, "cannot open the task log");
	if (fstat(k->fd, &st) == 0)
		k->len = (size_t)st.st_size;
	return 0;
}

struct task *
task_start(struct tasks *t, const char *type, const char *worker_id,
    const char *auth_id, struct err *e)
{
	struct task *k = xcalloc(1, sizeof(*k));

	k->tasks = t;
	k->fd = -1;
	memcpy(k->upid.node, t->node, sizeof(k->upid.node));
	k->upid.pid = (uint32_t)getpid();
	k->upid.pstart = t->pstart;
	k->upid.task_id = t->next_id++;
	k->upid.start = (uint32_t)io_realtime_s();
	snprintf(k->upid.type, sizeof(k->upid.type), "%s", type);
	snprintf(k->upid.worker_id, sizeof(k->upid.worker_id), "%s", worker_id);
	snprintf(k->upid.auth_id, sizeof(k->upid.auth_id), "%s", auth_id);
	if (upid_to_str(&k->upid, k->text, e) == -1 ||
	    strlen(k->text) > IPC_UPID_MAX) {
		free(k);
		err_set(e, ERR_PARAM, "names are too long for a task");
		return NULL;
	}
	if (task_open_log(k, e) == -1) {
		free(k);
		return NULL;
	}
	TAILQ_INSERT_HEAD(&t->running, k, entry);
	tasks_note_active(t, k->text, false);
	return k;
}

struct task *
task_adopt(struct tasks *t, const char *upid, struct err *e)
{
	struct task *k;
	size_t i = orphan_find(t, upid);

	if (i == t->norphans) {
		err_set(e, ERR_NOT_FOUND, "no such active task");
		return NULL;
	}
	k = xcalloc(1, sizeof(*k));
	k->tasks = t;
	k->fd = -1;
	if (upid_parse(&k->upid, upid, e) == -1 || task_open_log(k, e) == -1) {
		free(k);
		return NULL;
	}
	snprintf(k->text, sizeof(k->text), "%s", upid);
	orphan_drop(t, i);
	TAILQ_INSERT_HEAD(&t->running, k, entry);
	return k;
}

void
tasks_end_orphans(struct tasks *t)
{
	struct task *k;
	struct err why;
	char *upid;
	size_t i;

	err_set(&why, ERR_ABORTED, "the server ended");
	for (i = 0; i < t->norphans; i++) {
		if (t->orphans[i] == NULL)
			continue;
		upid = xstrdup(t->orphans[i]);
		if ((k = task_adopt(t, upid, NULL)) != NULL)
			task_end(&k, &why);
		free(upid);
	}
	t->norphans = 0;
	free(t->orphans);
	t->orphans = NULL;
	tasks_write_active(t);
}

struct task *
tasks_find(struct tasks *t, const char *upid)
{
	struct task *k;

	TAILQ_FOREACH(k, &t->running, entry)
		if (strcmp(k->text, upid) == 0)
			return k;
	return NULL;
}

int
tasks_stop(struct tasks *t, const char *upid, struct err *e)
{
	struct task *k = tasks_find(t, upid);
	void (*stop)(void *arg);

	if (k == NULL)
		return err_set(e, ERR_NOT_FOUND, "task does not run");
	if ((stop = k->stop) == NULL)
		return err_set(e, ERR_UNSUPPORTED, "task cannot be stopped");
	k->stop = NULL;
	stop(k->stop_arg);
	return 0;
}

const char **
tasks_running(const struct tasks *t, size_t *n_out)
{
	const struct task *k;
	const char **v;
	size_t n = 0;

	TAILQ_FOREACH(k, &t->running, entry)
		n++;
	v = xcalloc(n + 1, sizeof(*v));
	n = 0;
	TAILQ_FOREACH(k, &t->running, entry)
		v[n++] = k->text;
	*n_out = n;
	return v;
}

/* --- a task's lines --- */

/* RFC 3339 with numeric offset, exactly 25 characters (wire-protocol 7.3). */
static void
line_time(char out[32])
{
	time_t now = (time_t)io_realtime_s();
	char zone[8], date[24];
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	snprintf(out, 32, "%s%.3s:%.2s", date, zone, zone + 3);
}

static void
task_write(struct task *k, const char *text)
{
	char line[TASK_LINE_MAX], stamp[32], *p;
	int n;

	line_time(stamp);
	n = snprintf(line, sizeof(line) - 1, "%s: %s", stamp, text);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(line) - 1)
		n = (int)sizeof(line) - 2;
	for (p = line; p < line + n; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	line[n++] = '\n';
	if (write(k->fd, line, (size_t)n) != n)
		log_warn_sys("task", "cannot write a task log");
	else
		k->len += (size_t)n;
}

static void
task_vlog(struct task *k, const char *prefix, const char *fmt, va_list ap)
{
	char text[TASK_LINE_MAX];
	size_t n;

	if (k->cut)
		return;
	if (k->len > TASK_LOG_MAX) {
		k->cut = true;
		task_write(k, "log is too long, further lines are dropped");
		return;
	}
	n = (size_t)snprintf(text, sizeof(text), "%s", prefix);
	vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	task_write(k, text);
}

const char *
task_upid(const struct task *k)
{
	return k->text;
}

void
task_log(struct task *k, const char *fmt, ...)
{
	va_list ap;

	if (k == NULL)
		return;
	va_start(ap, fmt);
	task_vlog(k, "", fmt, ap);
	va_end(ap);
}

void
task_warn(struct task *k, const char *fmt, ...)
{
	va_list ap;

	if (k == NULL)
		return;
	k->warnings++;
	va_start(ap, fmt);
	task_vlog(k, "WARN: ", fmt, ap);
	va_end(ap);
}

/* Types are ours, so there are never more than places. */
static struct task_count *
task_counts(struct tasks *t, const char *type)
{
	size_t i;

	for (i = 0; i < TASK_TYPES_MAX - 1 && t->counts[i].type[0] != '\0'; i++)
		if (strcmp(t->counts[i].type, type) == 0)
			break;
	snprintf(t->counts[i].type, sizeof(t->counts[i].type), "%s", type);
	return &t->counts[i];
}

void
tasks_each_count(const struct tasks *t,
    void (*fn)(void *ctx, const struct task_count *c), void *ctx)
{
	size_t i;

	for (i = 0; i < TASK_TYPES_MAX && t->counts[i].type[0] != '\0'; i++)
		fn(ctx, &t->counts[i]);
}

void
task_end(struct task **kp, const struct err *why)
{
	struct task *k = *kp;
	char status[ERR_MSG_MAX], line[ERR_MSG_MAX + 32], *p;
	void (*ended)(void *arg, const struct err *why);
	struct task_count *count;
	void *arg;

	*kp = NULL;
	if (k == NULL)
		return;
	ended = k->ended;
	arg = k->ended_arg;
	count = task_counts(k->tasks, k->upid.type);
	if (why != NULL) {
		count->failed++;
		snprintf(status, sizeof(status), "%s", why->msg);
		snprintf(line, sizeof(line), "TASK ERROR: %s", status);
	} else if (k->warnings > 0) {
		count->warnings++;
		snprintf(status, sizeof(status), "WARNINGS: %u", k->warnings);
		snprintf(line, sizeof(line), "TASK %s", status);
	} else {
		count->ok++;
		snprintf(status, sizeof(status), "OK");
		snprintf(line, sizeof(line), "TASK OK");
	}
	for (p = status; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			*p = '?';
	/* The status must be readable before the task stops being active. */
	task_write(k, line);
	index_append(k->tasks, k->text, io_realtime_s(), status);
	TAILQ_REMOVE(&k->tasks->running, k, entry);
	tasks_note_active(k->tasks, k->text, true);
	task_free(k);
	if (ended != NULL)
		ended(arg, why);
}

void
task_on_end(struct task *k, void (*ended)(void *arg, const struct err *why),
    void *arg)
{
	k->ended = ended;
	k->ended_arg = arg;
}

void
task_on_stop(struct task *k, void (*stop)(void *arg), void *arg)
{
	k->stop = stop;
	k->stop_arg = arg;
}
