#ifndef TESTS_FORMAT_PXAR_MAKE_H
#define TESTS_FORMAT_PXAR_MAKE_H

/* Makes small pxar archives for tests, item by item. */

#include <stddef.h>
#include <stdint.h>

#define PXM_ENTRIES_MAX 4096
#define PXM_DEPTH_MAX 16

struct pxm_place {
	uint64_t hash;
	size_t pos;
	size_t size;
};

struct pxm_dir {
	size_t start; /* of its ENTRY */
	struct pxm_place places[PXM_ENTRIES_MAX];
	size_t count;
};

struct pxm {
	uint8_t *bytes;
	size_t len;
	struct pxm_dir *dirs[PXM_DEPTH_MAX];
	size_t depth;
	uint64_t (*hash)(const char *name, size_t len);
};

/* split: FORMAT_VERSION 2 in front. */
void pxm_init(struct pxm *m, int split);
void pxm_fini(struct pxm *m);
void pxm_item(struct pxm *m, uint64_t type, const void *data, size_t len);
void pxm_entry(struct pxm *m, uint32_t mode);
void pxm_name(struct pxm *m, const char *name);
/* Whole objects; the name first. */
void pxm_file(struct pxm *m, const char *name, const void *data, size_t len);
void pxm_ref(struct pxm *m, const char *name, uint64_t offset, uint64_t size);
void pxm_symlink(struct pxm *m, const char *name, const char *target);
/* Call after the object of the last pxm_name() is complete. */
void pxm_done(struct pxm *m);
void pxm_enter(struct pxm *m, const char *name); /* NULL: the root */
void pxm_leave(struct pxm *m);
/* Index into sorted order for each place of a table of n. */
void pxm_tree_order(size_t *out, size_t n);

#endif
