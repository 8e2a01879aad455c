#ifndef COMMON_FORMAT_PXAR_H
#define COMMON_FORMAT_PXAR_H

/*
 * Reading pxar archives, versions 1 and 2 (split), datastore-format 8.1-8.5.
 * Two ways: pxar_reader walks a stream from front to back; pxar_dir_*
 * looks names up through the goodbye tables of an archive that can be read
 * anywhere.  Archives are made by clients: sizes, names and nesting are
 * checked, memory is bounded, nothing recurses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PXAR_NAME_MAX 4096
#define PXAR_DEPTH_MAX 2048
#define PXAR_ATTR_MAX (256 + 65536)

struct err;

enum pxar_type {
	PXAR_DIR,
	PXAR_FILE,
	PXAR_SYMLINK,
	PXAR_HARDLINK,
	PXAR_BLOCK,
	PXAR_CHAR,
	PXAR_FIFO,
	PXAR_SOCKET,
	PXAR_END_DIR /* leaves the directory that was entered last */
};

struct pxar_stat {
	uint64_t mode;
	uint64_t flags;
	uint32_t uid;
	uint32_t gid;
	int64_t mtime;
	uint32_t mtime_ns;
};

struct pxar_entry {
	enum pxar_type type;
	unsigned int depth;    /* 0: the root */
	uint64_t pos;          /* of its FILENAME item (root: of its ENTRY) */
	struct pxar_stat stat; /* zero for a hard link */
	uint64_t size;         /* files: bytes of content */
	bool is_ref;           /* files: content is in the payload stream */
	uint64_t content_pos;  /* files: of the content, or of the PAYLOAD
				  header in the payload stream */
	uint64_t link_pos;     /* hard links: of the target's FILENAME */
	uint64_t dev_major;
	uint64_t dev_minor;
	char name[PXAR_NAME_MAX + 1];   /* "" for the root */
	char target[PXAR_NAME_MAX + 1]; /* links */
};

/* Up to len bytes, 0 in *got at the end. */
typedef int pxar_read_fn(void *arg, void *buf, size_t len, size_t *got,
    struct err *e);
/* Exactly len bytes at off. */
typedef int pxar_read_at_fn(void *arg, uint64_t off, void *buf, size_t len,
    struct err *e);
/* An attribute item (XATTR .. QUOTA_PROJID) of the entry that
 * pxar_reader_next() is about to return; data is lent. */
typedef int pxar_attr_fn(void *arg, uint64_t item, const uint8_t *data,
    size_t len, struct err *e);

struct pxar_reader;

struct pxar_reader *pxar_reader_new(pxar_read_fn *read, void *arg);
/* In the middle of an archive, at the FILENAME at pos.  What follows the entry
 * may be its siblings: a directory ends with the PXAR_END_DIR of depth 1. */
struct pxar_reader *pxar_reader_new_at(pxar_read_fn *read, void *arg,
    uint64_t pos);
void pxar_reader_free(struct pxar_reader *r);
void pxar_reader_set_attr_fn(struct pxar_reader *r, pxar_attr_fn *fn,
    void *arg);
/* 1: an entry, lent until the next call; 0: the end of the archive; -1.
 * Content that was not read is skipped. */
int pxar_reader_next(struct pxar_reader *r, const struct pxar_entry **out,
    struct err *e);
/* Content of the file that was just returned (version 1); 0 in *got at its
 * end. */
int pxar_reader_content(struct pxar_reader *r, void *buf, size_t len,
    size_t *got, struct err *e);

/* An archive that can be read anywhere. */
struct pxar_archive {
	pxar_read_at_fn *read_at;
	void *arg;
	uint64_t len;
};

/* A directory: from its ENTRY to the end of its GOODBYE. */
struct pxar_dir {
	const struct pxar_archive *archive;
	uint64_t start; /* of ENTRY (or of the archive, for the root) */
	uint64_t end;
	uint64_t table; /* of the first goodbye record */
	uint64_t goodbye;
	uint64_t count;
};

/* One place in a directory. */
struct pxar_place {
	uint64_t pos;  /* of the FILENAME item */
	uint64_t size; /* as the goodbye table says; see 8.3 for files */
};

int pxar_dir_root(const struct pxar_archive *a, struct pxar_dir *out,
    struct err *e);
/* ERR_NOT_FOUND if there is no such name. */
int pxar_dir_lookup(const struct pxar_dir *dir, const char *name,
    struct pxar_place *out, struct err *e);
/* Place i in the order of the table. */
int pxar_dir_get_place(const struct pxar_dir *dir, uint64_t i,
    struct pxar_place *out, struct err *e);
/* The entry at a place. */
int pxar_dir_read_entry(const struct pxar_dir *dir,
    const struct pxar_place *place, struct pxar_entry *out, struct err *e);
/* The directory that starts at a place. */
int pxar_dir_enter(const struct pxar_dir *dir, const struct pxar_place *place,
    struct pxar_dir *out, struct err *e);

/* Where the content of a file of a split archive begins in its payload
 * stream, whose header there must agree with the entry. */
int pxar_find_content(const struct pxar_archive *payload,
    const struct pxar_entry *entry, uint64_t *pos_out, struct err *e);

/* The hash of a name in goodbye tables. */
uint64_t pxar_name_hash(const char *name, size_t len);

#endif
