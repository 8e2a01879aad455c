#ifndef COMMON_FORMAT_SNAPSHOT_H
#define COMMON_FORMAT_SNAPSHOT_H

/*
 * Backup groups ("vm/100") and snapshots ("vm/100/2022-05-02T08:11:33Z"):
 * parsing, printing, order (datastore-format 1.2).
 */

#include "common/format/names.h"

#include <stdint.h>

#define BACKUP_ID_MAX SAFE_ID_MAX
#define BACKUP_TIME_LEN 20
#define BACKUP_TIME_MAX INT64_C(253402300799) /* end of the year 9999 */
#define GROUP_STR_MAX (4 + 1 + BACKUP_ID_MAX)
#define SNAPSHOT_STR_MAX (GROUP_STR_MAX + 1 + BACKUP_TIME_LEN)

/* In the order of listings. */
enum backup_type {
	BACKUP_CT,
	BACKUP_HOST,
	BACKUP_VM,
	BACKUP_TYPE_COUNT
};

struct backup_group {
	enum backup_type type;
	char id[BACKUP_ID_MAX + 1];
};

struct backup_snapshot {
	struct backup_group group;
	int64_t time;
};

const char *backup_type_str(enum backup_type type);
int backup_type_parse(const char *s, enum backup_type *out, struct err *e);
bool backup_id_valid(const char *s);
bool backup_time_valid(int64_t t); /* 1 .. BACKUP_TIME_MAX */

/* RFC3339Z; t must be valid. */
void backup_time_to_str(int64_t t, char out[BACKUP_TIME_LEN + 1]);
/* Only the canonical form: what prints differently is refused. */
int backup_time_parse(const char *s, int64_t *out, struct err *e);

int group_set(struct backup_group *out, const char *type, const char *id,
    struct err *e);
int group_parse(struct backup_group *out, const char *s, struct err *e);
void group_to_str(const struct backup_group *g, char out[GROUP_STR_MAX + 1]);
/* Type, then numeric ids by value, then the others bytewise. */
int group_cmp(const struct backup_group *a, const struct backup_group *b);
bool group_equal(const struct backup_group *a, const struct backup_group *b);
/* host/benchmark */
bool group_is_benchmark(const struct backup_group *g);

int snapshot_set(struct backup_snapshot *out, const char *type, const char *id,
    int64_t time, struct err *e);
int snapshot_parse(struct backup_snapshot *out, const char *s, struct err *e);
void snapshot_to_str(const struct backup_snapshot *s,
    char out[SNAPSHOT_STR_MAX + 1]);
/* Group order, then oldest first. */
int snapshot_cmp(const struct backup_snapshot *a,
    const struct backup_snapshot *b);
bool snapshot_equal(const struct backup_snapshot *a,
    const struct backup_snapshot *b);

#endif
