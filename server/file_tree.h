#ifndef SERVER_FILE_TREE_H
#define SERVER_FILE_TREE_H

#include <stddef.h>

#include "common/format/pxar.h"
#include "server/file_archive.h"

struct pack;
struct pack_ops;

/*
 * A path inside of an archive, and what is there; for the function of a
 * file_job.  Split archives (x.mpxar.didx) have their contents in a second
 * one (x.ppxar.didx).
 */
#define FILE_PATH_MAX 8192
#define FILE_PATH_COMPONENTS_MAX 1024

struct file_path {
	size_t count;
	const char *component[FILE_PATH_COMPONENTS_MAX]; /* in text */
	char text[FILE_PATH_MAX + 1];
};

/* From base64 (both alphabets of RFC 4648): no NUL, "." or ".."; slashes may
 * be repeated. */
int file_path_parse(struct file_path *p, const char *base64, struct err *e);
/* Removes the first component. */
void file_path_shift(struct file_path *p);

struct file_tree {
	struct file_archive meta;
	struct file_archive payload; /* of a split archive */
	bool split;
	struct pxar_archive archive;
	struct pxar_archive contents;
	struct pxar_dir root;
};

/* name: of the index with the names. */
int file_tree_open(struct file_tree *t, struct file_job *j, const char *name,
    struct err *e);
void file_tree_fini(struct file_tree *t);

/* The directory and the place that a path leads to; the root has no place. */
struct file_place {
	bool is_root;
	struct pxar_dir parent;
	struct pxar_place place;
	struct pxar_entry entry; /* of a hard link: that of its target */
};
int file_tree_find(struct file_tree *t, const struct file_path *path,
    struct file_place *out, struct err *e);

/* The content of a file, to write(). */
int file_tree_copy(struct file_tree *t, const struct pxar_entry *entry,
    pack_write_fn *write, void *arg, struct err *e);
/* A directory and all below it; name: what it is called in the pack, "" for
 * none. */
int file_tree_pack(struct file_tree *t, const struct file_place *place,
    const char *name, const struct pack_ops *ops, struct pack *pack,
    struct err *e);

#endif
