/*
 * Durability of a store: one syncfs serves all that wait, and a failed one
 * poisons the store, since the kernel tells of it only once.
 */
#include "config.h"

#include "common/err.h"
#include "common/io.h"
#include "validator/store/layout.h"
#include "validator/store/poison.h"

uint64_t
store_sync_ticket(struct store *s)
{
	return atomic_fetch_add(&s->sync_tickets, 1);
}

static int
poison(struct store *s, const struct err *why, struct err *e)
{
	return store_state_poison(s->state, why->msg, e);
}

int
store_check_writable(struct store *s, struct err *e)
{
	return store_state_check(s->state, e);
}

/* The chunks may lie on a file system of their own. */
static int
sync_all(struct store *s, struct err *e)
{
	if (io_syncfs(s->root_fd, s->name, e) == -1)
		return -1;
	return s->chunks_dev == s->dev ? 0
				       : io_syncfs(s->chunks_fd, s->name, e);
}

int
store_sync_wait(struct store *s, uint64_t ticket, struct err *e)
{
	struct err why = {0};
	uint64_t served;
	int64_t started;
	int rv = 0;

	pthread_mutex_lock(&s->sync_lock);
	if (store_state_check(s->state, e) == -1) {
		rv = -1;
	} else if (ticket >= s->sync_served) {
		/* Tickets taken by now have their data written already. */
		served = atomic_load(&s->sync_tickets);
		started = io_realtime_s();
		if (sync_all(s, &why) == -1) {
			rv = poison(s, &why, e);
		} else {
			s->sync_served = served;
			/* Not written down: an older time is more careful. */
			store_state_synced(s->state, started, NULL);
		}
	}
	pthread_mutex_unlock(&s->sync_lock);
	return rv;
}

int
store_sync(struct store *s, struct err *e)
{
	return store_sync_wait(s, store_sync_ticket(s), e);
}

int
store_fsync(struct store *s, int fd, const char *what, struct err *e)
{
	struct err why = {0};

	if (store_state_check(s->state, e) == -1)
		return -1;
	if (io_fsync(fd, what, &why) == -1)
		return poison(s, &why, e);
	return 0;
}

int
store_write_file(struct store *s, int dirfd, const char *name, const void *data,
    size_t len, unsigned int flags, struct err *e)
{
	struct err why = {0};

	if (store_state_check(s->state, e) == -1)
		return -1;
	if (io_write_file_atomic(dirfd, name, data, len, STORE_FILE_MODE, flags,
		&why) == 0)
		return 0;
	if ((flags & IO_F_FSYNC) && why.code == ERR_IO)
		return poison(s, &why, e);
	if (e != NULL)
		*e = why;
	return -1;
}
