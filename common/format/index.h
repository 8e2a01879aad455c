#ifndef COMMON_FORMAT_INDEX_H
#define COMMON_FORMAT_INDEX_H

/*
 * Reading index files of both kinds (datastore-format 3) from a descriptor,
 * a read callback or mapped memory.  Every access is bounds-checked; entries
 * are read on demand, so memory does not grow with the index.
 */

#include "common/format/digest.h"

#include <sys/types.h>

#define INDEX_HEADER_LEN 4096
#define INDEX_UUID_LEN 16
#define INDEX_CHUNK_MAX (128u << 20) /* no blob can hold more */

struct err;

enum index_kind {
	INDEX_FIXED,
	INDEX_DYNAMIC
};

struct index_header {
	enum index_kind kind;
	uint8_t uuid[INDEX_UUID_LEN];
	int64_t ctime;
	struct digest csum;  /* never to be trusted, see index_csum() */
	uint64_t size;       /* fixed only: bytes of the image */
	uint64_t chunk_size; /* fixed only: a power of two */
	uint64_t count;
};

struct index_entry {
	struct digest digest;
	uint64_t start;
	uint64_t end;
};

/* Reads exactly len bytes at off or fails. */
typedef int index_read_fn(void *arg, uint64_t off, void *buf, size_t len,
    struct err *e);

/* Fields are for reading.  The view owns nothing: descriptor, callback
 * argument and mapping stay the caller's and must outlive it. */
struct index_view {
	enum index_kind kind;
	uint64_t count;      /* entries, at least 1 */
	uint64_t size;       /* bytes of the archive */
	uint64_t chunk_size; /* fixed only */
	uint64_t file_len;
	struct index_header header;
	const uint8_t *map;
	index_read_fn *read;
	void *read_arg;
	int fd;
};

/* Checks of 3.3 on the first 4096 bytes and the length of the file, and: a
 * chunk size that is no power of two or too large is refused.  ERR_CORRUPT. */
int index_header_parse(const uint8_t buf[INDEX_HEADER_LEN], uint64_t file_len,
    struct index_header *out, struct err *e);
int index_open_fd(struct index_view *v, int fd, struct err *e);
int index_open_map(struct index_view *v, const void *map, size_t len,
    struct err *e);
int index_open_read(struct index_view *v, uint64_t file_len,
    index_read_fn *read, void *arg, struct err *e);

/* Entry i; also proves that it is not empty, not longer than
 * INDEX_CHUNK_MAX and inside the archive. */
int index_get_entry(const struct index_view *v, uint64_t i,
    struct index_entry *out, struct err *e);
/* Entries first .. first + n - 1 with one read per 1000 or so. */
int index_get_entries(const struct index_view *v, uint64_t first, size_t n,
    struct index_entry *out, struct err *e);
/* Number of the entry that covers a byte of the archive. */
int index_find(const struct index_view *v, uint64_t offset, uint64_t *i_out,
    struct err *e);
/* Recomputes the checksum over all entries in bounded memory and checks
 * every one of them on the way; compare with the manifest's. */
int index_csum(const struct index_view *v, struct digest *out, struct err *e);

#endif
