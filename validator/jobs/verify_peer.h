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
	struct arena results;
	struct arena chunks; /* halves: one is filled, one is judged */
	uint32_t half;       /* first block of the one that is filled */
	size_t filled;       /* bytes of it */
	struct wire_w added; /* to list */
	uint8_t list[CHK_MANY * CHK_MANY_CHUNK_LEN];
	uint8_t *files; /* copy of the last manifest's */
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

/*
 * Chunks, at most CHK_MANY at a time.  Each is written to where room() says,
 * then added, and all of them are sent; while the checker judges them the next
 * may be added and sent, after which the first ones' verdicts are to be taken.
 * One of length 0 is not good.  What is not good may be damaged, or not be
 * readable now.
 */
uint8_t *verify_peer_room(const struct verify_peer *p, size_t *room_out);
void verify_peer_add(struct verify_peer *p, const struct digest *digest,
    uint32_t len);
int verify_peer_send(struct verify_peer *p, struct err *e);
/* Of n chunks, in the order of sending. */
int verify_peer_verdicts(struct verify_peer *p, unsigned int n,
    struct verify_verdict *out, struct err *e);

/* The error is what the checker found: ERR_CORRUPT, ERR_IO. */
int verify_peer_blob(struct verify_peer *p, int fd, uint64_t size,
    const struct digest *csum, struct msg_CHK_VERDICT *out, struct err *e);
/* op READ or FILES; the files' records are lent until the next call. */
int verify_peer_manifest(struct verify_peer *p, int fd, enum manifest_op op,
    struct msg_CHK_MANIFESTED *out, const uint8_t **data_out, struct err *e);

#endif
