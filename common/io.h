#ifndef COMMON_IO_H
#define COMMON_IO_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * Whole reads and writes, files, memory files, clocks.  Functions return 0 or
 * -1 with e filled; those that open return the descriptor, always O_CLOEXEC.
 * All of the file functions may block on a disk.  None takes ownership of a
 * descriptor except io_close().
 */

/* Exactly len bytes; an early end of file is ERR_CORRUPT. */
int io_read_full(int fd, void *buf, size_t len, struct err *e);
int io_pread_full(int fd, void *buf, size_t len, off_t off, struct err *e);
int io_write_full(int fd, const void *buf, size_t len, struct err *e);
int io_pwrite_full(int fd, const void *buf, size_t len, off_t off,
    struct err *e);

int io_openat(int dirfd, const char *name, int flags, mode_t mode,
    struct err *e);
/* Closes if it is not -1, and makes it -1; errno is kept. */
void io_close(int *fd);
int io_pipe(int fds_out[2], struct err *e);
int io_set_nonblock(int fd, struct err *e);

/* what: a name for the error text. */
int io_fsync(int fd, const char *what, struct err *e);
int io_syncfs(int fd, const char *what, struct err *e);
/* The folder that a path lies in: what is new there has its name after a power
 * cut, too. */
int io_fsync_parent(const char *path, struct err *e);

/*
 * A small regular file, whole: ERR_LIMIT if longer than max.  The last
 * component is not followed if it is a link.  data_out belongs to the caller
 * and has a NUL behind its len_out bytes.
 */
int io_read_file(int dirfd, const char *name, size_t max, char **data_out,
    size_t *len_out, struct err *e);

#define IO_F_FSYNC 0x1     /* fsync the file before, the folder after rename */
#define IO_F_NOREPLACE 0x2 /* ERR_EXISTS if the name is taken */

/*
 * Writes a temporary file of exactly this mode (datastore-format 1.8) in the
 * folder and renames it over name; on failure nothing is left behind, unless
 * the folder cannot be fsynced (ERR_IO): then it has the name, but perhaps not
 * after a power cut.
 */
int io_write_file_atomic(int dirfd, const char *name, const void *data,
    size_t len, mode_t mode, unsigned int flags, struct err *e);
/*
 * The temporary name of datastore-format 1.8: the last extension of name is
 * replaced by ext ("tmp_fidx"), or ext appended if there is none or name is a
 * dot file.  ext NULL: "tmp_" and six random characters.
 */
int io_temp_name(char *dst, size_t dst_size, const char *name, const char *ext);

/*
 * A memory file of that size with these F_SEAL_* set; F_SEAL_WRITE among them
 * only if it shall stay zero.  name is for /proc only.
 */
int io_memfd(const char *name, size_t size, int seals, struct err *e);
/* A memory file with that content, sealed against any change. */
int io_memfd_data(const char *name, const void *data, size_t len,
    struct err *e);

/* CLOCK_BOOTTIME, CLOCK_MONOTONIC; CLOCK_REALTIME in seconds. */
uint64_t io_boottime_ms(void);
uint64_t io_monotonic_ms(void);
int64_t io_realtime_s(void);
/* The kernel's boot id, 36 characters and NUL. */
int io_boot_id(char dst[37], struct err *e);

/* From the kernel; cannot fail. */
void io_random(void *buf, size_t len);

#endif
