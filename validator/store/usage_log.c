/*
 * The usage of a store over time (usage_log.h).  Runs in store threads.  The
 * file is our own, but may be damaged, and the clock may have been set.
 */
#include "config.h"

#include "validator/store/usage_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/sbuf.h"
#include "common/str.h"

#define LINE_MAX_LEN 42
#define FILE_MAX_LEN ((size_t)USAGE_SAMPLES_MAX * LINE_MAX_LEN)
#define FILE_MODE 0600
/* What would be full after a hundred years does not grow. */
#define FULL_MAX_S (INT64_C(100) * 366 * 86400)

static int
parse_line(char *line, struct usage_sample *out)
{
	const char *time = strsep(&line, " ");

	if (line == NULL || str_to_i64(time, 0, INT64_MAX, &out->time) == -1)
		return -1;
	return str_to_u64(line, 0, UINT64_MAX, &out->used);
}

int
usage_log_load(struct usage_log *l, int dirfd, const char *name, struct err *e)
{
	char *data, *rest, *line;
	struct usage_sample s;
	struct err why;
	size_t len;

	l->n = 0;
	if (io_read_file(dirfd, name, FILE_MAX_LEN, &data, &len, &why) == -1) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	rest = data;
	while ((line = strsep(&rest, "\n")) != NULL)
		if (l->n < USAGE_SAMPLES_MAX && parse_line(line, &s) == 0 &&
		    (l->n == 0 || s.time > l->v[l->n - 1].time))
			l->v[l->n++] = s;
	free(data);
	return 0;
}

int
usage_log_save(const struct usage_log *l, int dirfd, const char *name,
    struct err *e)
{
	struct sbuf b;
	size_t i;
	int rv;

	sbuf_init(&b, FILE_MAX_LEN);
	for (i = 0; i < l->n; i++)
		sbuf_add_fmt(&b, "%" PRId64 " %" PRIu64 "\n", l->v[i].time,
		    l->v[i].used);
	rv = io_write_file_atomic(dirfd, name, sbuf_str(&b), b.len, FILE_MODE,
	    0, e);
	sbuf_fini(&b);
	return rv;
}

bool
usage_log_add(struct usage_log *l, int64_t now, uint64_t used)
{
	size_t old = 0;

	while (l->n > 0 && l->v[l->n - 1].time > now)
		l->n--;
	if (l->n > 0 && now - l->v[l->n - 1].time < USAGE_INTERVAL_S)
		return false;
	while (old < l->n &&
	    (now - l->v[old].time >= USAGE_KEPT_S ||
		l->n - old == USAGE_SAMPLES_MAX))
		old++;
	l->n -= old;
	memmove(l->v, l->v + old, l->n * sizeof(l->v[0]));
	l->v[l->n++] = (struct usage_sample){now, used};
	return true;
}

/* Bytes a second. */
static double
slope(const struct usage_log *l)
{
	double t, u, mean_t = 0, mean_u = 0, tu = 0, tt = 0;
	double n = (double)l->n;
	size_t i;

	for (i = 0; i < l->n; i++) {
		mean_t += (double)(l->v[i].time - l->v[0].time) / n;
		mean_u += (double)l->v[i].used / n;
	}
	for (i = 0; i < l->n; i++) {
		t = (double)(l->v[i].time - l->v[0].time) - mean_t;
		u = (double)l->v[i].used - mean_u;
		tu += t * u;
		tt += t * t;
	}
	return tu / tt;
}

/* From the last sample on, not from the line: what was pruned and collected
 * counts at once. */
int64_t
usage_log_full(const struct usage_log *l, uint64_t capacity)
{
	const struct usage_sample *last;
	double grows, left;

	if (l->n < USAGE_SAMPLES_MIN)
		return 0;
	last = &l->v[l->n - 1];
	if (last->time - l->v[0].time < USAGE_SPAN_MIN_S)
		return 0;
	grows = slope(l);
	left = capacity > last->used ? (double)(capacity - last->used) : 0;
	if (grows <= 0 || left / grows > (double)FULL_MAX_S)
		return 0;
	return last->time + (int64_t)(left / grows);
}
