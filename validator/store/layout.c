/*
 * Opening a datastore, and its space.  A store's folder may have been filled by
 * anybody, so nothing is followed and nothing assumed but what was opened at
 * the start.  Runs in store threads and at the validator's start.
 */
#include "config.h"

#include "validator/store/layout.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/path.h"
#include "common/table.h"
#include "validator/store/poison.h"

#define SPACE_CHECK_MS 1000
#define LOCK_TRIES 10
#define LOCK_PAUSE_NS 50000000

/* --- opening ------------------------------------------------------------ */

/* An OFD lock on .lock keeps other validators and the original server out;
 * it is released with the descriptor, so with the process. */
static int
take_lock(struct store *s, struct err *e)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int tries;

	s->lock_fd = io_openat(s->root_fd, ".lock",
	    O_RDWR | O_CREAT | O_NOFOLLOW, STORE_FILE_MODE, e);
	if (s->lock_fd == -1)
		return -1;
	/* A child of a validator that was killed may hold it until its exec. */
	for (tries = 0; tries < LOCK_TRIES; tries++) {
		if (fcntl(s->lock_fd, F_OFD_SETLK, &fl) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return err_errno(e, errno, "lock datastore \"%s\"",
			    s->name);
		nanosleep(&pause, NULL);
	}
	return err_set(e, ERR_LOCKED,
	    "datastore \"%s\" is in use by another program", s->name);
}

static int
open_dirs(struct store *s, struct err *e)
{
	struct stat st;
	unsigned int i;

	s->root_fd = io_openat(AT_FDCWD, s->path, O_RDONLY | O_DIRECTORY, 0, e);
	if (s->root_fd == -1)
		return -1;
	s->chunks_fd = path_open(s->root_fd, STORE_CHUNKS_DIR,
	    O_RDONLY | O_DIRECTORY, 0, e);
	if (s->chunks_fd == -1)
		return err_wrap(e, "\"%s\" is not a datastore", s->path);
	for (i = 0; i < STORE_LANES; i++) {
		s->lane_fds[i] =
		    io_openat(s->chunks_fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
		if (s->lane_fds[i] == -1)
			return -1;
	}
	if (fstat(s->root_fd, &st) == -1)
		return err_errno(e, errno, "stat \"%s\"", s->path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (fstat(s->chunks_fd, &st) == -1)
		return err_errno(e, errno, "stat the chunks of \"%s\"",
		    s->path);
	s->chunks_dev = st.st_dev;
	return 0;
}

static int
open_sessions(struct store *s, struct err *e)
{
	if (path_mkdirs(s->root_fd, STORE_SESSIONS_DIR, STORE_PRIVATE_MODE,
		e) == -1)
		return -1;
	s->sessions_fd = path_open(s->root_fd, STORE_SESSIONS_DIR,
	    O_RDONLY | O_DIRECTORY, 0, e);
	return s->sessions_fd == -1 ? -1 : 0;
}

int
store_open(struct store **out, const struct store_opts *opts, struct err *e)
{
	struct store *s = xcalloc(1, sizeof(*s));
	unsigned int i;

	*out = NULL;
	s->root_fd = s->chunks_fd = s->sessions_fd = s->lock_fd = -1;
	for (i = 0; i < STORE_LANES; i++)
		s->lane_fds[i] = -1;
	snprintf(s->name, sizeof(s->name), "%s", opts->name);
	s->path = xstrdup(opts->path);
	s->reserve = opts->reserve;
	for (i = 0; i < STORE_STRIPES; i++)
		pthread_mutex_init(&s->stripes[i], NULL);
	pthread_mutex_init(&s->sync_lock, NULL);
	pthread_mutex_init(&s->publish_lock, NULL);
	pthread_mutex_init(&s->lost_lock, NULL);
	if (open_dirs(s, e) == -1 || take_lock(s, e) == -1 ||
	    open_sessions(s, e) == -1 ||
	    store_state_open(&s->state, opts->state_fd, opts->name, e) == -1) {
		store_close(&s, false);
		return -1;
	}
	*out = s;
	return 0;
}

void
store_close(struct store **sp, bool clean)
{
	struct store *s = *sp;
	unsigned int i;

	if (s == NULL)
		return;
	*sp = NULL;
	store_state_close(&s->state, clean);
	for (i = 0; i < STORE_STRIPES; i++)
		pthread_mutex_destroy(&s->stripes[i]);
	pthread_mutex_destroy(&s->sync_lock);
	pthread_mutex_destroy(&s->publish_lock);
	pthread_mutex_destroy(&s->lost_lock);
	io_close(&s->sessions_fd);
	for (i = 0; i < STORE_LANES; i++)
		io_close(&s->lane_fds[i]);
	io_close(&s->chunks_fd);
	io_close(&s->root_fd);
	io_close(&s->lock_fd);
	free(s->path);
	free(s);
}

int
store_check_mounted(const struct store *s, struct err *e)
{
	struct stat st;

	if (stat(s->path, &st) == -1) {
		err_errno(e, errno, "datastore \"%s\" cannot be reached",
		    s->name);
		if (e != NULL)
			e->code = ERR_IO;
		return -1;
	}
	if (st.st_dev != s->dev || st.st_ino != s->ino)
		return err_set(e, ERR_IO,
		    "datastore \"%s\" is not mounted, or another one is",
		    s->name);
	return 0;
}

/* --- space -------------------------------------------------------------- */

int
store_get_usage(const struct store *s, struct store_usage *out, struct err *e)
{
	struct statvfs v;

	if (fstatvfs(s->root_fd, &v) == -1)
		return err_errno(e, errno, "free space of datastore \"%s\"",
		    s->name);
	out->total = (uint64_t)v.f_blocks * v.f_frsize;
	out->used = (uint64_t)(v.f_blocks - v.f_bfree) * v.f_frsize;
	out->avail = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

static int
err_reserve(const struct store *s, uint64_t avail, struct err *e)
{
	char left[TABLE_SIZE_MAX], reserve[TABLE_SIZE_MAX];

	return err_set(e, ERR_NOSPACE,
	    "datastore \"%s\" is full up to its reserve: %s free, %s reserved "
	    "(min-free); prune and collect garbage, or make it larger",
	    s->name, table_size_str(left, avail),
	    table_size_str(reserve, s->reserve));
}

int
store_check_space(struct store *s, uint64_t len, struct err *e)
{
	uint_fast64_t avail;
	uint64_t now = io_monotonic_ms();
	struct store_usage usage;

	if (s->reserve == 0)
		return 0;
	if (atomic_load(&s->space_checked_ms) == 0 ||
	    now - atomic_load(&s->space_checked_ms) >= SPACE_CHECK_MS) {
		if (store_get_usage(s, &usage, e) == -1)
			return -1;
		atomic_store(&s->space_avail, usage.avail);
		atomic_store(&s->space_checked_ms, now);
	}
	/* What is granted counts until the file system is asked again. */
	avail = atomic_load(&s->space_avail);
	do {
		if (avail < s->reserve || avail - s->reserve < len)
			return err_reserve(s, avail, e);
	} while (!atomic_compare_exchange_weak(&s->space_avail, &avail,
	    avail - len));
	return 0;
}
