/*
 * Writes audit logs (audit.h).  Runs in auth and in the validator, each with
 * files of its own that no other process of ours can reach.  Values come from
 * anywhere, so they are JSON strings; how often refusals come is anybody's
 * choice, so their lines are counted and bounded.
 */
#include "config.h"

#include "common/audit_int.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/str.h"
#include "common/token_bucket.h"

#define SUB "audit"
#define TELL_EVERY 1000
#define KINDS_MAX 16 /* events: more than there are */
#define TIME_LEN 32

/* What is counted of each kind of event. */
struct kind {
	const char *event; /* NULL: unused */
	struct token_bucket refusals;
	uint64_t left_out;
	char since[TIME_LEN]; /* the first of them */
};

struct audit {
	int dir_fd;
	int fd;
	uint64_t size;
	struct audit_chain chain;
	struct audit_limits limits;
	struct kind kinds[KINDS_MAX];
	struct event *timer; /* NULL before audit_watch() */
};

/* --- writing ------------------------------------------------------------- */

static void
tell_head(const struct audit *a)
{
	log_info(SUB, "line n=%" PRIu64 " hash=%s", a->chain.n,
	    STR_HEX(a->chain.hash, AUDIT_HASH_LEN));
}

/* Takes obj. */
static int
line_write(struct audit *a, struct json *obj, struct err *e)
{
	struct audit_chain next = {.n = a->chain.n + 1};
	char *text, *line = NULL;
	size_t len;
	int rv = -1;

	json_set_u64(obj, "n", next.n);
	text = json_compact(obj, &len);
	json_free(&obj);
	len--; /* the closing brace comes behind the hash */
	if (len > AUDIT_LINE_MAX - AUDIT_TAIL_LEN - 1) {
		err_set(e, ERR_LIMIT, "line is too long");
		goto out;
	}
	if (audit_chain_next(next.hash, a->chain.hash, text, len) == -1) {
		err_set(e, ERR_INTERNAL, "cannot hash a line");
		goto out;
	}
	line = xasprintf("%.*s" AUDIT_TAIL_BEGIN "%s" AUDIT_TAIL_END "\n",
	    (int)len, text, STR_HEX(next.hash, AUDIT_HASH_LEN));
	len = strlen(line);
	if (io_write_full(a->fd, line, len, e) == -1) {
		/* Of a full disk: half a line would break the chain. */
		if (ftruncate(a->fd, (off_t)a->size) == -1)
			log_err_sys(SUB, "cannot cut off half a line");
		goto out;
	}
	a->size += len;
	a->chain = next;
	rv = 0;
out:
	free(line);
	free(text);
	return rv;
}

static void
time_now(char text[TIME_LEN])
{
	time_t now = (time_t)io_realtime_s();
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static struct json *
line_new(const char *event)
{
	struct json *obj = json_new_object();
	char text[TIME_LEN];

	time_now(text);
	json_set_str(obj, "event", event);
	json_set_str(obj, "time", text);
	return obj;
}

static int
file_begin(struct audit *a, struct err *e)
{
	struct json *obj = line_new("begin");
	uint8_t id[16];

	/* No two logs are alike, not even at their first line. */
	io_random(id, sizeof(id));
	json_set_str(obj, "id", STR_HEX(id, sizeof(id)));
	json_set_str(obj, "prev", STR_HEX(a->chain.hash, AUDIT_HASH_LEN));
	return line_write(a, obj, e);
}

static int
file_open(struct audit *a, struct err *e)
{
	struct stat st;

	a->fd = io_openat(a->dir_fd, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT,
	    0600, e);
	if (a->fd == -1)
		return -1;
	if (fstat(a->fd, &st) == -1)
		return err_errno(e, errno, AUDIT_FILE);
	a->size = (uint64_t)st.st_size;
	return 0;
}

/* The oldest of the full files go. */
static void
files_limit(const struct audit *a)
{
	struct dirent **v = NULL;
	int n = audit_full_files(a->dir_fd, &v), i, full = 0;

	/* Damaged ones come last, and are for a person to look at. */
	while (full < n &&
	    strlen(v[full]->d_name) == sizeof(AUDIT_FILE) + AUDIT_NUMBER_LEN)
		full++;
	for (i = 0; i < full - (int)a->limits.files; i++)
		if (unlinkat(a->dir_fd, v[i]->d_name, 0) == -1)
			log_err_sys(SUB, "cannot remove %s", v[i]->d_name);
		else
			log_info(SUB, "removed the oldest file name=%s",
			    v[i]->d_name);
	for (i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

/* The next file, which goes on with the chain. */
static int
file_next(struct audit *a, struct err *e)
{
	if (file_open(a, e) == 0 && (a->size > 0 || file_begin(a, e) == 0))
		return 0;
	io_close(&a->fd);
	return -1;
}

static int
file_rotate(struct audit *a, struct err *e)
{
	char name[sizeof(AUDIT_FILE) + AUDIT_NUMBER_LEN + 1];

	snprintf(name, sizeof(name), AUDIT_FILE ".%0*" PRIu64, AUDIT_NUMBER_LEN,
	    a->chain.n);
	if (renameat(a->dir_fd, AUDIT_FILE, a->dir_fd, name) == -1)
		return err_errno(e, errno, "cannot rename " AUDIT_FILE);
	io_close(&a->fd);
	files_limit(a);
	return file_next(a, e);
}

/* Takes obj. */
static int
line_add(struct audit *a, struct json *obj)
{
	struct err e;

	if (a->fd == -1 && file_next(a, &e) == -1) {
		json_free(&obj);
	} else if (line_write(a, obj, &e) == 0) {
		if (a->size >= a->limits.file_size && file_rotate(a, &e) == -1)
			log_err_e(SUB, &e, "cannot begin the next file");
		if (a->chain.n % TELL_EVERY == 0)
			tell_head(a);
		return 0;
	}
	log_err_e(SUB, &e, "cannot write the audit log");
	return -1;
}

/* --- lines that are left out --------------------------------------------- */

static struct kind *
kind_of(struct audit *a, const char *event)
{
	struct kind *k = a->kinds;

	while (k->event != NULL && strcmp(k->event, event) != 0)
		if (++k == a->kinds + KINDS_MAX)
			fatal(SUB, "more kinds of events than expected");
	if (k->event == NULL) {
		k->event = event;
		token_bucket_init(&k->refusals, AUDIT_REFUSED_PER_S,
		    AUDIT_REFUSED_BURST, io_monotonic_ms());
	}
	return k;
}

static void
left_out_later(const struct audit *a)
{
	static const struct timeval tv = {AUDIT_LEFT_OUT_S, 0};

	if (a->timer != NULL && !evtimer_pending(a->timer, NULL))
		evtimer_add(a->timer, &tv);
}

static void
left_out_add(const struct audit *a, struct kind *k)
{
	if (k->left_out++ == 0)
		time_now(k->since);
	left_out_later(a);
}

static void
left_out_tell(struct audit *a)
{
	struct json *obj;
	struct kind *k;
	char text[24];

	for (k = a->kinds; k < a->kinds + KINDS_MAX; k++) {
		if (k->left_out == 0)
			continue;
		obj = line_new("left-out");
		snprintf(text, sizeof(text), "%" PRIu64, k->left_out);
		json_set_str(obj, "of", k->event);
		json_set_str(obj, "count", text);
		json_set_str(obj, "since", k->since);
		if (line_add(a, obj) == -1) {
			left_out_later(a);
			return;
		}
		k->left_out = 0;
	}
}

static void
left_out_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	left_out_tell(arg);
}

void
audit_watch(struct audit *a, struct event_base *base)
{
	a->timer = evtimer_new(base, left_out_on_timer, a);
	if (a->timer == NULL)
		fatal(SUB, "cannot make a timer");
}

void
audit_add(struct audit *a, const char *event, ...)
{
	const char *key, *value;
	bool refused = false;
	struct json *obj;
	struct kind *k;
	va_list ap;

	if (a == NULL)
		return;
	obj = line_new(event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (value == NULL)
			continue;
		json_set_str(obj, key, value);
		refused |= strcmp(key, "outcome") == 0 &&
		    strcmp(value, "refused") == 0;
	}
	va_end(ap);
	k = kind_of(a, event);
	if (refused && !token_bucket_take(&k->refusals, 1, io_monotonic_ms())) {
		json_free(&obj);
		left_out_add(a, k);
	} else if (line_add(a, obj) == -1) {
		left_out_add(a, k);
	}
}

/* --- going on ------------------------------------------------------------ */

/* Where the last line begins in the file's last bytes, and its length; what is
 * behind its newline was not written whole. */
static const char *
last_line(const char *buf, size_t len, size_t *len_out, size_t *torn_out)
{
	const char *end = memrchr(buf, '\n', len), *begin;

	*torn_out = end == NULL ? len : len - (size_t)(end + 1 - buf);
	*len_out = 0;
	if (end == NULL)
		return NULL;
	begin = memrchr(buf, '\n', (size_t)(end - buf));
	begin = begin == NULL ? buf : begin + 1;
	*len_out = (size_t)(end - begin);
	return begin;
}

/* It ends in something that is none of ours: a check will say so.  We begin
 * anew, since to work without any log would be worse. */
static int
file_set_aside(struct audit *a, struct err *e)
{
	char name[64];

	snprintf(name, sizeof(name), AUDIT_FILE ".damaged.%" PRId64,
	    io_realtime_s());
	log_err(SUB, "damaged, begins anew; the old one is %s", name);
	if (renameat(a->dir_fd, AUDIT_FILE, a->dir_fd, name) == -1)
		return err_errno(e, errno, "cannot rename " AUDIT_FILE);
	io_close(&a->fd);
	memset(&a->chain, 0, sizeof(a->chain));
	return file_open(a, e);
}

static int
file_resume(struct audit *a, size_t *torn_out, struct err *e)
{
	size_t len =
	    a->size < 2 * AUDIT_LINE_MAX ? a->size : 2 * AUDIT_LINE_MAX;
	char *buf = xmalloc(len + 1);
	size_t line_len, text_len;
	struct json *obj = NULL;
	const char *line;
	int rv = -1;

	if (io_pread_full(a->fd, buf, len, (off_t)(a->size - len), e) == -1)
		goto out;
	line = last_line(buf, len, &line_len, torn_out);
	if (line != NULL &&
	    audit_line_parse(line, line_len, &text_len, &a->chain, &obj) ==
		-1) {
		rv = file_set_aside(a, e);
		goto out;
	}
	a->size -= *torn_out;
	if (*torn_out > 0 && ftruncate(a->fd, (off_t)a->size) == -1) {
		err_errno(e, errno, "cannot cut " AUDIT_FILE);
		goto out;
	}
	rv = 0;
out:
	json_free(&obj);
	free(buf);
	return rv;
}

int
audit_open(struct audit **out, const char *dir,
    const struct audit_limits *limits, struct err *e)
{
	struct audit *a = xcalloc(1, sizeof(*a));
	size_t torn = 0;
	char text[32];

	a->fd = -1;
	a->limits = *limits;
	a->dir_fd = io_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, e);
	if (a->dir_fd == -1 || file_open(a, e) == -1 ||
	    (a->size > 0 && file_resume(a, &torn, e) == -1) ||
	    (a->size == 0 && file_begin(a, e) == -1)) {
		audit_close(&a);
		return -1;
	}
	tell_head(a);
	if (torn > 0) {
		snprintf(text, sizeof(text), "%zu", torn);
		audit_add(a, "torn", "bytes", text, NULL);
	}
	*out = a;
	return 0;
}

void
audit_close(struct audit **ap)
{
	struct audit *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	left_out_tell(a);
	if (a->timer != NULL)
		event_free(a->timer);
	io_close(&a->fd);
	io_close(&a->dir_fd);
	free(a);
}
