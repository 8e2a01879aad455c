#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/format/digest.h"
#include "common/format/snapshot.h"

/*
 * A datastore in a temporary folder of its own, with only those chunk folders
 * that a test asks for: making all 65536 takes a second.  Not a test itself;
 * every function fails the test that it is called in.
 */
struct store;

struct fixture {
	char dir[64];  /* everything is below it */
	char path[80]; /* the datastore */
	int state_fd;
	struct store *store;
};

extern struct fixture fx;

void fixture_init(void); /* for .init and .fini */
void fixture_fini(void);
/* Closes the store and opens it again.  reboot: as if the machine had gone
 * down in between (only if not clean). */
void fixture_reopen(bool clean, bool reboot);

/* Digest number i, its folder made. */
struct digest fixture_digest(uint32_t i);
void fixture_chunk_path(const struct digest *d, char out[200]);
/* A file at a place below the datastore. */
void fixture_write(const char *name, const void *data, size_t len);
bool fixture_exists(const char *name);
/* ctime of a file of the datastore, in seconds. */
int64_t fixture_ctime(const char *name);

/* Blobs: the caller frees. */
uint8_t *fixture_plain(const char *text, size_t *len_out);
uint8_t *fixture_encrypted(bool compressed, size_t payload, uint8_t fill,
    size_t *len_out);

struct backup_ns fixture_ns(const char *name);
struct backup_snapshot fixture_snap(const char *text);
/* A finished snapshot in a group of that owner. */
void fixture_make_snapshot(const char *ns, const char *snap, const char *owner);

#endif
