#ifndef SERVER_PACK_H
#define SERVER_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/pxar.h"

struct err;

/*
 * Packing files into one stream, entry by entry: tar (with pax headers where
 * the old ones are too small) and zip (stored, with zip64 likewise).  Times
 * and modes are kept, what else a file has is not.  Memory does not grow with
 * the files; a zip's directory does, and is limited.
 */
#define PACK_ZIP_DIRECTORY_MAX (64u << 20)
#define PACK_PATH_MAX 32768

typedef int pack_write_fn(void *arg, const void *p, size_t len, struct err *e);

struct pack_entry {
	const char *path; /* relative, without a slash at its end */
	enum pxar_type type;
	struct pxar_stat stat;
	uint64_t size;      /* of a file: exactly so many bytes follow */
	const char *target; /* of a symbolic link */
	uint64_t dev_major;
	uint64_t dev_minor;
};

struct pack;

struct pack_ops {
	struct pack *(*new)(pack_write_fn *write, void *arg);
	/* Files (then data() until size is reached, then end()); all else
	 * is complete.  Types that the format has not are left out. */
	int (*begin)(struct pack *p, const struct pack_entry *entry,
	    struct err *e);
	int (
	    *data)(struct pack *p, const void *data, size_t len, struct err *e);
	int (*end)(struct pack *p, struct err *e);
	int (*finish)(struct pack *p, struct err *e);
	void (*free)(struct pack *p);
};

extern const struct pack_ops pack_tar_ops;
extern const struct pack_ops pack_zip_ops;

/* zstd around a stream, as a row of frames. */
struct pack_zstd;
struct pack_zstd *pack_zstd_new(pack_write_fn *write, void *arg);
void pack_zstd_free(struct pack_zstd *z);
/* arg is the pack_zstd (pack_write_fn). */
int pack_zstd_write(void *arg, const void *p, size_t len, struct err *e);
int pack_zstd_finish(struct pack_zstd *z, struct err *e);

#endif
