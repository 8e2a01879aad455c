#ifndef VALIDATOR_STORE_LAYOUT_H
#define VALIDATOR_STORE_LAYOUT_H

#include <sys/queue.h>
#include <sys/types.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/names.h"

struct err;
struct lost_watch;
struct store_state;

/*
 * A datastore on disk (datastore-format 1).  The validator opens it once and
 * holds its folders from then on: a store that is unmounted, or another one
 * mounted over it, can never look like one whose chunks are gone.
 *
 * A struct store is shared by all threads of its pool.  Whatever takes one
 * blocks on the disk, unless it says otherwise: store threads only.
 */

#define STORE_DIR ".holdfast"
#define STORE_SESSIONS_DIR ".holdfast/sessions"
#define STORE_CHUNKS_DIR ".chunks"
#define STORE_PREFIXES 65536u

#define STORE_BASE_MODE 0755 /* type, group, snapshot, namespace */
#define STORE_FILE_MODE 0644
#define STORE_PRIVATE_MODE 0700 /* .holdfast and below */

#define STORE_LANES 8 /* see chunk_check() */

#define STORE_STRIPES 256 /* of the order between changes of a chunk */

/* Open with store_open(); the fields are for reading in this folder. */
struct store {
	char name[DATASTORE_NAME_MAX + 1];
	char *path;
	int root_fd; /* O_RDONLY, as all of these */
	int chunks_fd;
	int lane_fds[STORE_LANES]; /* of .chunks, too */
	int sessions_fd;
	int lock_fd;
	dev_t dev; /* of BASE */
	ino_t ino;
	dev_t chunks_dev;
	uint64_t reserve;          /* bytes that uploads leave free */
	struct store_state *state; /* owned */
	pthread_mutex_t stripes[STORE_STRIPES];
	pthread_mutex_t sync_lock; /* one syncfs at a time */
	atomic_uint_fast64_t sync_tickets;
	uint64_t sync_served; /* under sync_lock: below it all are durable */
	/* A snapshot appears or a damaged chunk goes, one after the other. */
	pthread_mutex_t publish_lock;
	pthread_mutex_t lost_lock; /* of lost.h; the last one to be taken */
	LIST_HEAD(, lost_watch) lost_watches;
	atomic_uint_fast64_t removals_begun; /* of snapshots */
	atomic_uint_fast64_t removals_ended;
	atomic_uint_fast64_t space_checked_ms;
	atomic_uint_fast64_t space_avail;
};

struct store_opts {
	const char *name;
	const char *path;
	int state_fd;     /* STATE/validator, for store_state; lent */
	uint64_t reserve; /* free-space reserve in bytes */
};

/*
 * Opens a store that exists, makes .holdfast/sessions if needed, and takes
 * the lock on .lock (ERR_LOCKED if another program has it: an original
 * server, another validator).  *out belongs to the caller.
 */
int store_open(struct store **out, const struct store_opts *opts,
    struct err *e);
/* Releases the lock; clean: after store_sync(), nothing written since. */
void store_close(struct store **s, bool clean);

/* ERR_IO if the path no longer leads to the folder that is held. */
int store_check_mounted(const struct store *s, struct err *e);

struct store_usage {
	uint64_t total;
	uint64_t used;
	uint64_t avail; /* for us, not for root */
};
int store_get_usage(const struct store *s, struct store_usage *out,
    struct err *e);
/* ERR_NOSPACE, with numbers and what to do, if the reserve is in use or would
 * be with len more bytes.  Asks the file system once a second or so. */
int store_check_space(struct store *s, uint64_t len, struct err *e);

/*
 * Durability.  Take a ticket once the data is written (any thread, never
 * blocks); store_sync_wait() returns when a syncfs that began after that has
 * succeeded, and one serves all that wait.  A failure poisons the store,
 * durably, before it is reported (ERR_POISONED ever after).
 */
uint64_t store_sync_ticket(struct store *s);
int store_sync_wait(struct store *s, uint64_t ticket, struct err *e);
int store_sync(struct store *s, struct err *e);
/* ERR_POISONED once a sync has failed; to be asked before a change. */
int store_check_writable(struct store *s, struct err *e);
/* fsync of a folder or file of the store, with the same consequence. */
int store_fsync(struct store *s, int fd, const char *what, struct err *e);
/* io_write_file_atomic() with the mode of files in a store and its flags; an
 * input/output error while syncing has the same consequence. */
int store_write_file(struct store *s, int dirfd, const char *name,
    const void *data, size_t len, unsigned int flags, struct err *e);

#endif
