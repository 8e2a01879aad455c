#ifndef VALIDATOR_JOBS_VERIFY_PEER_H
#define VALIDATOR_JOBS_VERIFY_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/ipc.h"
#include "common/msg.h"
#include "common/format/digest.h"

struct err;
struct job;

/*
 * A checker that the validator lends to a job, seen from the job.  Each is used
 * by one thread at a time; calls wait for the answer.  After ERR_UNAVAILABLE it
 * is of no use: open the slot again.
 */
struct verify_peer {
	struct ipc *ipc; /* NULL: closed */
	struct arena arena;
	uint8_t *list; /* copy of the last manifest's files */
	uint64_t seq;
};

struct verify_verdict {
	bool good;
	bool encrypted;
	uint32_t encoded; /* length of the file */
	uint32_t size;    /* plain; 0 if encrypted */
};

/* Main thread only.  slot: below JOB_CHECKERS_MAX. */
int verify_peer_open(struct verify_peer *p, struct job *j, unsigned int slot,
    struct err *e);
void verify_peer_close(struct verify_peer *p);

/* fds are lent.  What is not good may be damaged, or not be readable now: -1
 * only if the checker cannot tell. */
int verify_peer_chunk(struct verify_peer *p, int fd,
    const struct digest *digest, struct verify_verdict *out, struct err *e);
int verify_peer_chunks(struct verify_peer *p, const int fds[CHK_MANY],
    const struct digest digests[CHK_MANY], struct verify_verdict out[CHK_MANY],
    struct err *e);
/* The error is what the checker found: ERR_CORRUPT, ERR_IO. */
int verify_peer_blob(struct verify_peer *p, int fd, uint64_t size,
    const struct digest *csum, struct msg_CHK_VERDICT *out, struct err *e);
/* op READ or FILES; the files' records are lent until the next call. */
int verify_peer_manifest(struct verify_peer *p, int fd, enum manifest_op op,
    struct msg_CHK_MANIFESTED *out, const uint8_t **data_out, struct err *e);

#endif
