/*
 * What the server remembers of a store over a power cut (poison.h): a small
 * record in STATE/validator, replaced whole.  Only the validator writes it; a
 * damaged one costs trust, not data.
 */
#include "config.h"

#include "validator/store/poison.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/wire.h"

#define RECORD_MAGIC 0x53534648u /* "HFSS" */
#define RECORD_VERSION 1
#define BOOT_ID_LEN 37
#define RECORD_LEN (4 + 1 + 1 + 1 + 8 * 4 + BOOT_ID_LEN + STORE_REASON_MAX)
#define RECORD_NAME_MAX 64

/* How often a successful sync is written down. */
#define SYNCED_WRITE_S 5

struct store_state {
	int dirfd; /* our own */
	char name[RECORD_NAME_MAX];
	char boot[BOOT_ID_LEN]; /* "" if unknown */
	pthread_mutex_t lock;
	struct store_state_info info;
	int64_t written_sync; /* last_sync as on disk */
	atomic_bool poisoned;
	_Atomic int64_t suspect_from;
	_Atomic int64_t suspect_to;
};

static int
record_write(struct store_state *st, bool in_use, struct err *e)
{
	uint8_t buf[RECORD_LEN];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	wire_w_u32(&w, RECORD_MAGIC);
	wire_w_u8(&w, RECORD_VERSION);
	wire_w_u8(&w, in_use);
	wire_w_u8(&w, st->info.poisoned);
	wire_w_i64(&w, st->info.poisoned_at);
	wire_w_i64(&w, st->info.last_sync);
	wire_w_i64(&w, st->info.suspect_from);
	wire_w_i64(&w, st->info.suspect_to);
	wire_w_bytes(&w, st->boot, BOOT_ID_LEN);
	wire_w_bytes(&w, st->info.reason, STORE_REASON_MAX);
	if (io_write_file_atomic(st->dirfd, st->name, buf, sizeof(buf), 0600,
		IO_F_FSYNC, e) == -1)
		return -1;
	st->written_sync = st->info.last_sync;
	return 0;
}

/* 0 and *in_use_out, or -1 if it is damaged or of another version. */
static int
record_parse(const char *data, size_t len, struct store_state_info *info,
    char boot[BOOT_ID_LEN], bool *in_use_out)
{
	struct wire_r r;
	uint32_t magic;
	uint8_t version;

	wire_r_init(&r, data, len);
	magic = wire_r_u32(&r);
	version = wire_r_u8(&r);
	*in_use_out = wire_r_u8(&r) != 0;
	info->poisoned = wire_r_u8(&r) != 0;
	info->poisoned_at = wire_r_i64(&r);
	info->last_sync = wire_r_i64(&r);
	info->suspect_from = wire_r_i64(&r);
	info->suspect_to = wire_r_i64(&r);
	wire_r_copy(&r, boot, BOOT_ID_LEN);
	wire_r_copy(&r, info->reason, STORE_REASON_MAX);
	info->reason[STORE_REASON_MAX - 1] = '\0';
	return magic == RECORD_MAGIC && version == RECORD_VERSION &&
		wire_r_end(&r) == 0
	    ? 0
	    : -1;
}

/*
 * 1 loaded, 0 there is none, -1.  *lost_out: the machine may have lost what
 * was not synced, since the store was in use when it went down.  If only the
 * validator ended, the kernel still has all of it.
 */
static int
record_load(struct store_state *st, bool *in_use_out, bool *lost_out,
    struct err *e)
{
	char *data, boot[BOOT_ID_LEN];
	struct err why = {0};
	size_t len;

	*in_use_out = *lost_out = false;
	if (io_read_file(st->dirfd, st->name, 4096, &data, &len, &why) == -1) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (e != NULL)
			*e = why;
		return -1;
	}
	if (record_parse(data, len, &st->info, boot, in_use_out) == 0) {
		*lost_out = *in_use_out &&
		    (st->boot[0] == '\0' ||
			memcmp(boot, st->boot, BOOT_ID_LEN) != 0);
	} else {
		/* Damaged: trust nothing that was written up to now. */
		st->info = (struct store_state_info){0};
		*in_use_out = *lost_out = true;
	}
	free(data);
	return 1;
}

/*
 * After an end that was not clean, what changed after the last successful
 * sync may have a name but not its data.  Suspects of an earlier run stay.
 */
static void
add_suspects(struct store_state_info *info)
{
	int64_t from = info->last_sync - STORE_SUSPECT_MARGIN_S;
	int64_t now = io_realtime_s();

	if (info->suspect_to == 0 || from < info->suspect_from)
		info->suspect_from = from;
	/* A clock that went back must not hide any. */
	info->suspect_to = STORE_SUSPECT_MARGIN_S +
	    (now > info->last_sync ? now : info->last_sync);
}

int
store_state_open(struct store_state **out, int dirfd, const char *name,
    struct err *e)
{
	struct store_state *st = xcalloc(1, sizeof(*st));
	bool in_use, lost;
	int found;

	*out = NULL;
	st->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	if (st->dirfd == -1) {
		err_errno(e, errno, "state of datastore \"%s\"", name);
		free(st);
		return -1;
	}
	if (io_boot_id(st->boot, NULL) == -1)
		st->boot[0] = '\0';
	pthread_mutex_init(&st->lock, NULL);
	snprintf(st->name, sizeof(st->name), "%s.store", name);
	found = record_load(st, &in_use, &lost, e);
	if (found == -1)
		goto fail;
	st->info.was_clean = found == 1 && !in_use;
	if (lost)
		add_suspects(&st->info);
	/* A new store, or one that this server never saw: nothing of it was
	 * written by us, and its own server synced it. */
	if (found == 0)
		st->info.last_sync = io_realtime_s();
	if (record_write(st, true, e) == -1)
		goto fail;
	atomic_store(&st->poisoned, st->info.poisoned);
	atomic_store(&st->suspect_from, st->info.suspect_from);
	atomic_store(&st->suspect_to, st->info.suspect_to);
	*out = st;
	return 0;
fail:
	pthread_mutex_destroy(&st->lock);
	io_close(&st->dirfd);
	free(st);
	return -1;
}

void
store_state_close(struct store_state **stp, bool clean)
{
	struct store_state *st = *stp;

	if (st == NULL)
		return;
	*stp = NULL;
	/* Failing to say "clean" only makes the next start more careful. */
	if (clean && !st->info.poisoned)
		record_write(st, false, NULL);
	pthread_mutex_destroy(&st->lock);
	io_close(&st->dirfd);
	free(st);
}

void
store_state_get(struct store_state *st, struct store_state_info *out)
{
	pthread_mutex_lock(&st->lock);
	*out = st->info;
	pthread_mutex_unlock(&st->lock);
}

bool
store_state_is_poisoned(struct store_state *st)
{
	return atomic_load(&st->poisoned);
}

bool
store_state_is_suspect(struct store_state *st, int64_t ctime_s)
{
	int64_t to = atomic_load(&st->suspect_to);

	return to != 0 && ctime_s <= to &&
	    ctime_s >= atomic_load(&st->suspect_from);
}

int
store_state_check(struct store_state *st, struct err *e)
{
	if (!store_state_is_poisoned(st))
		return 0;
	pthread_mutex_lock(&st->lock);
	err_set(e, ERR_POISONED,
	    "datastore takes no writes since a sync failed: %s",
	    st->info.reason);
	pthread_mutex_unlock(&st->lock);
	return -1;
}

int
store_state_poison(struct store_state *st, const char *reason, struct err *e)
{
	struct err why = {0};

	pthread_mutex_lock(&st->lock);
	atomic_store(&st->poisoned, true);
	if (!st->info.poisoned) {
		st->info.poisoned = true;
		st->info.poisoned_at = io_realtime_s();
		snprintf(st->info.reason, sizeof(st->info.reason), "%s",
		    reason);
		/* In memory it holds anyhow; on disk "in use" stays, so the
		 * next start at least suspects what was not synced. */
		record_write(st, true, &why);
	}
	pthread_mutex_unlock(&st->lock);
	store_state_check(st, e);
	if (why.code != ERR_OK && e != NULL)
		err_wrap(e, "cannot be recorded (%.100s)", why.msg);
	return -1;
}

int
store_state_clear(struct store_state *st, struct err *e)
{
	struct store_state_info old;
	int rv;

	pthread_mutex_lock(&st->lock);
	old = st->info;
	/* What was written since the last good sync may not be whole. */
	if (old.poisoned)
		add_suspects(&st->info);
	st->info.poisoned = false;
	st->info.poisoned_at = 0;
	memset(st->info.reason, 0, sizeof(st->info.reason));
	rv = record_write(st, true, e);
	if (rv == 0) {
		atomic_store(&st->suspect_from, st->info.suspect_from);
		atomic_store(&st->suspect_to, st->info.suspect_to);
		atomic_store(&st->poisoned, false);
	} else {
		st->info = old;
	}
	pthread_mutex_unlock(&st->lock);
	return rv;
}

int
store_state_synced(struct store_state *st, int64_t started, struct err *e)
{
	int rv = 0;

	pthread_mutex_lock(&st->lock);
	if (started > st->info.last_sync)
		st->info.last_sync = started;
	if (st->info.last_sync - st->written_sync >= SYNCED_WRITE_S)
		rv = record_write(st, true, e);
	pthread_mutex_unlock(&st->lock);
	return rv;
}

int
store_state_remove(int dirfd, const char *name, struct err *e)
{
	char file[RECORD_NAME_MAX];

	snprintf(file, sizeof(file), "%s.store", name);
	if (unlinkat(dirfd, file, 0) == -1)
		return err_errno(e, errno, "remove \"%s\"", file);
	return 0;
}
