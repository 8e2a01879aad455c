#ifndef VALIDATOR_STORE_CHUNK_STORE_H
#define VALIDATOR_STORE_CHUNK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"

struct atime_cutoff;
struct err;
struct store;

/*
 * Chunks in .chunks/xxxx/ (datastore-format 1.4, 6.3; wire-protocol 4.4.3).
 * Changes of one chunk are done one after the other.  Nothing is mapped.  All
 * block; for store threads.
 */
#define CHUNK_LEN_MIN 12 /* shorter files are no blobs */

enum chunk_put_result {
	CHUNK_PUT_NEW,
	CHUNK_PUT_DUPLICATE, /* kept the stored one, its time refreshed */
	CHUNK_PUT_REPLACED,  /* counts as new */
};

struct chunk_put {
	struct digest digest;
	const void *data; /* the encoded blob; nobody else may change it */
	size_t len;
	uint32_t size; /* plain bytes, as announced */
	bool verified; /* a checker recomputed the digest (unencrypted) */

	enum chunk_put_result result; /* out */
	uint64_t stored_len;          /* out: of the file that is now there */
};

/*
 * Stores a chunk, unless a good one is there:
 *
 *   stored                        verified (plain)    not verified (encrypted)
 *   none                          new                 new
 *   no regular file               error               error
 *   damaged: length, magic, CRC   replace             replace
 *   suspect after a power cut     replace             replace unless CRC holds
 *   encrypted                     replace             keep; both without
 *                                                     compression and of other
 *                                                     length: error
 *   plain, same length            keep                error
 *   plain, shorter                keep                error
 *   plain, longer                 replace             error
 *
 * The CRC is read where the lengths differ or the chunk is suspect.  ERR_SYS,
 * ERR_IO, ERR_NOSPACE (below the reserve too), ERR_POISONED, or ERR_EXISTS
 * with the text that clients know.
 */
int chunk_put(struct store *s, struct chunk_put *p, struct err *e);

enum chunk_state {
	CHUNK_OK,
	/* ENOENT, no regular file, or shorter than CHUNK_LEN_MIN, confirmed by
	 * a second look; its folder is there and on the right device. */
	CHUNK_MISSING,
	/* There, but from before a power cut and perhaps not whole: a checker
	 * must decode it, then chunk_touch() takes the doubt away. */
	CHUNK_SUSPECT,
	/* Any other answer (EIO, ESTALE, no folder): says nothing of the
	 * chunk. */
	CHUNK_ERROR,
};

/*
 * One stat.  e is filled for MISSING (ERR_MISSING) and ERROR.  Threads that
 * check many at the same time each use a lane of their own, of STORE_LANES:
 * it has its own open file, whose count of users no other processor changes,
 * which is worth a tenth of the time.
 */
enum chunk_state chunk_check(struct store *s, unsigned int lane,
    const struct digest *d, struct err *e);

/* For reading; the caller's descriptor, or -1: ERR_MISSING as above. */
int chunk_open(struct store *s, const struct digest *d, uint64_t *len_out,
    struct err *e);
/* Refreshes the access time (and so the change time). */
int chunk_touch(struct store *s, const struct digest *d, struct err *e);

/*
 * For garbage collection.  Removes a file of .chunks by its name (a chunk, a
 * damaged one, a temporary file), if it is a regular file that was last
 * written or used before the cutoff; whoever stores that chunk now comes
 * before or after, never between.  ERR_INVALID for any other name, ERR_ABORTED
 * if the clock makes what is used now look old.
 */
struct chunk_removal {
	enum {
		CHUNK_REMOVE_DONE,
		CHUNK_REMOVE_YOUNG,
		CHUNK_REMOVE_NONE,   /* nothing there, or no regular file */
		CHUNK_REMOVE_UNSEEN, /* cannot be looked at; e says why */
	} result;
	/* Of the first two: */
	uint64_t size;
	int64_t used; /* when it was last written or used, Unix seconds */
};
int chunk_remove_old(struct store *s, const char *name,
    const struct atime_cutoff *cutoff, struct chunk_removal *out,
    struct err *e);

/* Renames a damaged chunk to <digest>.N.bad (datastore-format 7.3); n_out, if
 * not NULL, gets N.  fd: the file that was judged; if it is not there any
 * more, or another one (an upload healed it), that is success with N -1. */
int chunk_rename_bad(struct store *s, const struct digest *d, int fd,
    int *n_out, struct err *e);

#endif
