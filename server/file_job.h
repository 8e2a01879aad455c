#ifndef SERVER_FILE_JOB_H
#define SERVER_FILE_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "common/format/names.h"

struct err;
struct file_job;
struct request;

/*
 * One call that reads files of a snapshot for its caller (wire-protocol 3.4,
 * download and the like): a reader session of its own and a function that
 * runs as a coroutine in it.  Whatever the function waits for, the event loop
 * goes on, and the response goes out as fast as the client takes it.
 *
 * The reply is made when the buffer is full for the first time or the
 * function is over: until then a failure is an ordinary error, later it cuts
 * the response off.  The session is closed before the last byte is sent, so
 * that the snapshot is free again when the client has all of it.
 *
 * When the client gives up, every function here fails from then on.
 */
#define FILE_JOB_BUFFER (256u << 10)

typedef int file_job_fn(struct file_job *j, struct err *e);

/* The request's parameters name the snapshot; replies in any case. */
void file_job_start(struct request *req, file_job_fn *fn);

/* ---- for the function ---- */

/* To look at the parameters. */
const struct request *file_job_request(const struct file_job *j);

/* A file of the snapshot, as stored; fd is the caller's. */
struct file_job_file {
	int fd;
	uint32_t number; /* of the session, for file_job_open_chunk() */
	enum archive_kind kind;
	uint64_t size;
};
int file_job_open(struct file_job *j, const char *name,
    struct file_job_file *out, struct err *e);
/* A chunk that an index of the session has at a position; the descriptor is
 * the caller's. */
int file_job_open_chunk(struct file_job *j, uint32_t number, uint32_t position,
    const uint8_t digest[32], int *fd_out, uint64_t *size_out, struct err *e);

/* Before the first byte: content type (static; default octet-stream), and
 * the length if it is known. */
void file_job_set_type(struct file_job *j, const char *type);
void file_job_set_len(struct file_job *j, uint64_t len);
/* Queues a copy; waits while the client is slow.  arg is the job
 * (pack_write_fn). */
int file_job_write(void *arg, const void *p, size_t len, struct err *e);
/* Instead of writing: the whole response; takes fd. */
void file_job_send_fd(struct file_job *j, int fd, uint64_t len);

#endif
