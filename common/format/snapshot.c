/*
 * Groups and snapshots: parsing, printing, order.  Used by every process on
 * strings from the network and on names of folders; nothing here touches a
 * file.
 */
#include "config.h"

#include "common/format/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/err.h"

static const char *const type_names[BACKUP_TYPE_COUNT] = {
    [BACKUP_CT] = "ct",
    [BACKUP_HOST] = "host",
    [BACKUP_VM] = "vm",
};

const char *
backup_type_str(enum backup_type type)
{
	return type_names[type];
}

int
backup_type_parse(const char *s, enum backup_type *out, struct err *e)
{
	int i;

	for (i = 0; i < BACKUP_TYPE_COUNT; i++) {
		if (strcmp(s, type_names[i]) == 0) {
			*out = (enum backup_type)i;
			return 0;
		}
	}
	return err_set(e, ERR_PARAM, "invalid backup type");
}

bool
backup_id_valid(const char *s)
{
	return safe_id_valid(s);
}

bool
backup_time_valid(int64_t t)
{
	return t >= 1 && t <= BACKUP_TIME_MAX;
}

void
backup_time_to_str(int64_t t, char out[BACKUP_TIME_LEN + 1])
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (!backup_time_valid(t) || gmtime_r(&tt, &tm) == NULL) {
		out[0] = '\0';
		return;
	}
	snprintf(out, BACKUP_TIME_LEN + 1, "%04u-%02u-%02uT%02u:%02u:%02uZ",
	    (unsigned int)(tm.tm_year + 1900) % 10000,
	    (unsigned int)(tm.tm_mon + 1) % 100, (unsigned int)tm.tm_mday % 100,
	    (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100,
	    (unsigned int)tm.tm_sec % 100);
}

/* A number of exactly n digits. */
static int
get_digits(const char *s, int n, int *out)
{
	int i, v = 0;

	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	*out = v;
	return 0;
}

int
backup_time_parse(const char *s, int64_t *out, struct err *e)
{
	static const char shape[] = "0000-00-00T00:00:00Z";
	char again[BACKUP_TIME_LEN + 1];
	struct tm tm = {0};
	int64_t t;
	int i;

	if (strnlen(s, BACKUP_TIME_LEN + 1) != BACKUP_TIME_LEN)
		goto bad;
	for (i = 0; i < BACKUP_TIME_LEN; i++) {
		if (shape[i] != '0' && s[i] != shape[i])
			goto bad;
	}
	if (get_digits(s, 4, &tm.tm_year) < 0 ||
	    get_digits(s + 5, 2, &tm.tm_mon) < 0 ||
	    get_digits(s + 8, 2, &tm.tm_mday) < 0 ||
	    get_digits(s + 11, 2, &tm.tm_hour) < 0 ||
	    get_digits(s + 14, 2, &tm.tm_min) < 0 ||
	    get_digits(s + 17, 2, &tm.tm_sec) < 0)
		goto bad;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	t = timegm(&tm);
	/* Another spelling of the same second would be another folder. */
	if (!backup_time_valid(t))
		goto bad;
	backup_time_to_str(t, again);
	if (strcmp(s, again) != 0)
		goto bad;
	*out = t;
	return 0;
bad:
	return err_set(e, ERR_PARAM, "invalid backup time");
}

int
group_set(struct backup_group *out, const char *type, const char *id,
    struct err *e)
{
	memset(out, 0, sizeof(*out));
	if (backup_type_parse(type, &out->type, e) < 0)
		return -1;
	if (!backup_id_valid(id))
		return err_set(e, ERR_PARAM, "invalid backup id");
	strcpy(out->id, id);
	return 0;
}

/* Splits "vm/100..." at the first slash; the rest is lent. */
static int
split_type(const char *s, enum backup_type *type, const char **rest,
    struct err *e)
{
	char name[8];
	const char *slash = strchr(s, '/');
	size_t len;

	if (slash == NULL || (len = (size_t)(slash - s)) >= sizeof(name))
		return err_set(e, ERR_PARAM, "invalid backup group");
	memcpy(name, s, len);
	name[len] = '\0';
	*rest = slash + 1;
	return backup_type_parse(name, type, e);
}

int
group_parse(struct backup_group *out, const char *s, struct err *e)
{
	enum backup_type type;
	const char *id;

	if (split_type(s, &type, &id, e) < 0)
		return -1;
	return group_set(out, type_names[type], id, e);
}

void
group_to_str(const struct backup_group *g, char out[GROUP_STR_MAX + 1])
{
	snprintf(out, GROUP_STR_MAX + 1, "%s/%s", type_names[g->type], g->id);
}

/* An id that is an unsigned 64-bit number, leading zeros included. */
static bool
id_as_number(const char *id, uint64_t *out)
{
	char *end;

	if (id[0] < '0' || id[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(id, &end, 10);
	return errno == 0 && *end == '\0';
}

int
group_cmp(const struct backup_group *a, const struct backup_group *b)
{
	uint64_t na, nb;
	bool a_is_number, b_is_number;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	a_is_number = id_as_number(a->id, &na);
	b_is_number = id_as_number(b->id, &nb);
	if (a_is_number != b_is_number)
		return a_is_number ? -1 : 1;
	if (a_is_number && na != nb)
		return na < nb ? -1 : 1;
	return strcmp(a->id, b->id);
}

bool
group_equal(const struct backup_group *a, const struct backup_group *b)
{
	return a->type == b->type && strcmp(a->id, b->id) == 0;
}

bool
group_is_benchmark(const struct backup_group *g)
{
	return g->type == BACKUP_HOST && strcmp(g->id, "benchmark") == 0;
}

int
snapshot_set(struct backup_snapshot *out, const char *type, const char *id,
    int64_t t, struct err *e)
{
	if (group_set(&out->group, type, id, e) < 0)
		return -1;
	if (!backup_time_valid(t))
		return err_set(e, ERR_PARAM, "invalid backup time");
	out->time = t;
	return 0;
}

int
snapshot_parse(struct backup_snapshot *out, const char *s, struct err *e)
{
	char id[BACKUP_ID_MAX + 1];
	enum backup_type type;
	const char *rest, *slash;
	int64_t t;
	size_t len;

	if (split_type(s, &type, &rest, e) < 0)
		return -1;
	slash = strchr(rest, '/');
	if (slash == NULL || (len = (size_t)(slash - rest)) >= sizeof(id))
		return err_set(e, ERR_PARAM, "invalid snapshot");
	memcpy(id, rest, len);
	id[len] = '\0';
	if (backup_time_parse(slash + 1, &t, e) < 0)
		return -1;
	return snapshot_set(out, type_names[type], id, t, e);
}

void
snapshot_to_str(const struct backup_snapshot *s, char out[SNAPSHOT_STR_MAX + 1])
{
	char t[BACKUP_TIME_LEN + 1];

	backup_time_to_str(s->time, t);
	snprintf(out, SNAPSHOT_STR_MAX + 1, "%s/%s/%s",
	    type_names[s->group.type], s->group.id, t);
}

int
snapshot_cmp(const struct backup_snapshot *a, const struct backup_snapshot *b)
{
	int c = group_cmp(&a->group, &b->group);

	if (c != 0)
		return c;
	return a->time < b->time ? -1 : a->time > b->time;
}

bool
snapshot_equal(const struct backup_snapshot *a, const struct backup_snapshot *b)
{
	return group_equal(&a->group, &b->group) && a->time == b->time;
}
