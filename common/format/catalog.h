#ifndef COMMON_FORMAT_CATALOG_H
#define COMMON_FORMAT_CATALOG_H

/*
 * The catalog (catalog.pcat1.didx, datastore-format 8.6): names of all files
 * of a backup.  The writer is the client's; the reader takes hostile bytes
 * and holds one directory block at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CATALOG_NAME_MAX 4095
#define CATALOG_BLOCK_MAX (64u << 20)
#define CATALOG_VARINT_MAX 11

struct err;

/* The byte in the file. */
enum catalog_type {
	CATALOG_DIR = 'd',
	CATALOG_FILE = 'f',
	CATALOG_SYMLINK = 'l',
	CATALOG_HARDLINK = 'h',
	CATALOG_BLOCK = 'b',
	CATALOG_CHAR = 'c',
	CATALOG_FIFO = 'p',
	CATALOG_SOCKET = 's'
};

struct catalog_entry {
	enum catalog_type type;
	char name[CATALOG_NAME_MAX + 1];
	uint64_t dir_pos; /* directories: of their block */
	uint64_t size;    /* files */
	int64_t mtime;    /* files */
};

typedef int catalog_write_fn(void *arg, const void *buf, size_t len,
    struct err *e);
typedef int catalog_read_at_fn(void *arg, uint64_t off, void *buf, size_t len,
    struct err *e);

struct catalog_writer;

struct catalog_writer *catalog_writer_new(catalog_write_fn *fn, void *arg);
void catalog_writer_free(struct catalog_writer *w);
int catalog_writer_enter(struct catalog_writer *w, const char *name,
    struct err *e);
int catalog_writer_leave(struct catalog_writer *w, struct err *e);
int catalog_writer_add_file(struct catalog_writer *w, const char *name,
    uint64_t size, int64_t mtime, struct err *e);
/* Anything but directories and files. */
int catalog_writer_add(struct catalog_writer *w, enum catalog_type type,
    const char *name, struct err *e);
/* Root block and its position. */
int catalog_writer_finish(struct catalog_writer *w, struct err *e);

struct catalog_dir;

/* Position of the root block. */
int catalog_root(catalog_read_at_fn *fn, void *arg, uint64_t len,
    uint64_t *pos_out, struct err *e);
/* Reads the block at pos into memory of its own. */
int catalog_dir_open(catalog_read_at_fn *fn, void *arg, uint64_t len,
    uint64_t pos, struct catalog_dir **out, struct err *e);
void catalog_dir_close(struct catalog_dir *dir);
/* 1: an entry; 0: the end, and the block was consumed exactly; -1. */
int catalog_dir_next(struct catalog_dir *dir, struct catalog_entry *out,
    struct err *e);

/* Number of bytes written or read, 0 if truncated or too long. */
size_t catalog_put_u64(uint8_t out[CATALOG_VARINT_MAX], uint64_t v);
size_t catalog_put_i64(uint8_t out[CATALOG_VARINT_MAX], int64_t v);
size_t catalog_get_u64(const uint8_t *in, size_t len, uint64_t *out);
size_t catalog_get_i64(const uint8_t *in, size_t len, int64_t *out);

#endif
