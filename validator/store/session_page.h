#ifndef VALIDATOR_STORE_SESSION_PAGE_H
#define VALIDATOR_STORE_SESSION_PAGE_H

#include <stdint.h>

#include "common/msg.h"
#include "validator/store/index_writer.h"

struct bitmap;
struct err;

/*
 * RUN/validator/sessions/<id>/: what of a session must survive a SIGKILL of
 * the validator (not a reboot) and changes often.  "page" is a mapped file of
 * fixed layout; "checked.N" and "referenced.N" are bitmaps of base file N.
 * Blocks are allocated first: no SIGBUS on a full file system.
 */
#define SESSION_PAGE_MAGIC 0x31504648u /* "HFP1" */
#define SESSION_PAGE_VERSION 1u

struct session_upload_stats {
	uint64_t count;
	uint64_t size;       /* plain bytes */
	uint64_t compressed; /* stored bytes */
	uint64_t duplicates;
};

struct session_page_writer {
	struct index_writer_state index;
	struct session_upload_stats uploads;
	uint32_t short_chunks; /* fixed: uploads below the chunk size, 0 or 1 */
	uint32_t reserved;
};

struct session_page {
	uint32_t magic;
	uint32_t version;
	uint32_t phase;    /* of finish; the session's own enum */
	uint32_t deposits; /* next number expected */
	uint64_t files;    /* indexes closed and blobs stored */
	uint64_t file_bytes;
	struct session_upload_stats uploads; /* of the whole session */
	struct session_page_writer writers[IPC_WRITERS_MAX];
};

/* Folder of the session below dirfd (RUN/validator/sessions), made if it is
 * not there; a descriptor of the caller's, or -1. */
int session_run_dir_open(int dirfd, uint64_t id, struct err *e);
int session_run_dir_remove(int dirfd, uint64_t id, struct err *e);

/* Maps the page, new ones zero but for the head; ERR_CORRUPT for one of
 * another layout. */
int session_page_open(struct session_page **out, int run_fd, struct err *e);
void session_page_close(struct session_page **page);

/* The two bitmaps of base file number n. */
int session_bitmaps_open(struct bitmap *checked, struct bitmap *referenced,
    int run_fd, uint32_t n, uint64_t positions, struct err *e);

#endif
