/*
 * The chunks of a store, in store threads.  What lies in the folders may be
 * damaged or planted; what is to be written was judged by a checker, which
 * says whether it could recompute the digest.
 */
#include "config.h"

#include "validator/store/chunk_store.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/atime.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/io.h"
#include "validator/store/chunk_name.h"
#include "validator/store/layout.h"
#include "validator/store/lost.h"
#include "validator/store/poison.h"

#define BAD_NAMES 10
#define CHUNK_NAME_MAX (DIGEST_CHUNK_PATH_LEN + 16)

/* Changes of one chunk take turns; 256 locks serve all of them. */
static pthread_mutex_t *
stripe_of(struct store *s, const struct digest *d)
{
	return &s->stripes[d->b[0] % STORE_STRIPES];
}

static int
err_chunk(struct err *e, int sys, const char *what, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_to_hex(d, hex);
	err_errno(e, sys, "%s chunk %s", what, hex);
	/* Only chunk_check() may say that a chunk is missing. */
	if (e != NULL && e->code == ERR_NOT_FOUND)
		e->code = ERR_IO;
	return -1;
}

/* --- looking ------------------------------------------------------------ */

/* Whether ENOENT speaks of the chunk: its folder is there, on the device that
 * was opened at the start, and the store is still mounted. */
static int
check_folder(struct store *s, const struct digest *d, struct err *e)
{
	char prefix[8];
	struct stat st;

	snprintf(prefix, sizeof(prefix), "%02x%02x", d->b[0], d->b[1]);
	if (fstatat(s->chunks_fd, prefix, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISDIR(st.st_mode) || st.st_dev != s->chunks_dev)
		return err_set(e, ERR_IO,
		    "chunk folder %s of datastore \"%s\" cannot be used",
		    prefix, s->name);
	return store_check_mounted(s, e);
}

static enum chunk_state
look(int chunks_fd, const char *path, struct stat *st, int *sys_out)
{
	*sys_out = 0;
	if (fstatat(chunks_fd, path, st, AT_SYMLINK_NOFOLLOW) == -1) {
		*sys_out = errno;
		return errno == ENOENT ? CHUNK_MISSING : CHUNK_ERROR;
	}
	if (!S_ISREG(st->st_mode) || st->st_size < CHUNK_LEN_MIN)
		return CHUNK_MISSING;
	return CHUNK_OK;
}

enum chunk_state
chunk_check(struct store *s, unsigned int lane, const struct digest *d,
    struct err *e)
{
	int chunks_fd = s->lane_fds[lane];
	char path[DIGEST_CHUNK_PATH_LEN + 1], hex[DIGEST_HEX_LEN + 1];
	enum chunk_state state;
	struct stat st;
	int sys;

	digest_chunk_path(d, path);
	state = look(chunks_fd, path, &st, &sys);
	/* A second look: it may just be replaced by rename. */
	if (state == CHUNK_MISSING)
		state = look(chunks_fd, path, &st, &sys);
	if (state == CHUNK_MISSING && check_folder(s, d, e) == -1)
		return CHUNK_ERROR;
	if (state == CHUNK_ERROR) {
		err_chunk(e, sys, "check", d);
		return state;
	}
	if (state == CHUNK_MISSING) {
		digest_to_hex(d, hex);
		err_set(e, ERR_MISSING, "chunk %s is missing", hex);
		return state;
	}
	return store_state_is_suspect(s->state, st.st_ctim.tv_sec)
	    ? CHUNK_SUSPECT
	    : CHUNK_OK;
}

int
chunk_open(struct store *s, const struct digest *d, uint64_t *len_out,
    struct err *e)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1], hex[DIGEST_HEX_LEN + 1];
	struct stat st;
	int fd;

	digest_chunk_path(d, path);
	do
		fd = openat(s->chunks_fd, path,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	while (fd == -1 && errno == EINTR);
	if (fd == -1 && errno != ENOENT && errno != ELOOP)
		return err_chunk(e, errno, "open", d);
	if (fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size >= CHUNK_LEN_MIN) {
		/* What a failed sync left in memory proves nothing: read it
		 * from the disk. */
		if (store_state_is_suspect(s->state, st.st_ctim.tv_sec))
			posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		*len_out = (uint64_t)st.st_size;
		return fd;
	}
	io_close(&fd);
	if (check_folder(s, d, e) == -1)
		return -1;
	digest_to_hex(d, hex);
	return err_set(e, ERR_MISSING, "chunk %s is missing", hex);
}

int
chunk_touch(struct store *s, const struct digest *d, struct err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
	    {.tv_nsec = UTIME_OMIT}};
	char path[DIGEST_CHUNK_PATH_LEN + 1];

	digest_chunk_path(d, path);
	if (utimensat(s->chunks_fd, path, times, AT_SYMLINK_NOFOLLOW) == -1)
		return err_chunk(e, errno, "touch", d);
	return 0;
}

/* --- storing ------------------------------------------------------------ */

/* What is known of the stored file. */
struct stored {
	enum {
		STORED_NONE,
		STORED_DAMAGED,
		STORED_PLAIN,
		STORED_ENCRYPTED, /* compressed before */
		STORED_ENCRYPTED_UNCOMPRESSED,
	} what;
	uint64_t len;
	bool suspect;
};

/* Reads the whole file if asked to look at the CRC, else its head. */
static int
read_stored(struct store *s, const struct digest *d, bool whole,
    struct stored *out, struct err *e)
{
	uint8_t head[BLOB_ENCRYPTED_HEADER_LEN], *data = head;
	struct blob_info info;
	uint64_t len;
	size_t want;
	int fd, rv = -1;

	fd = chunk_open(s, d, &len, e);
	if (fd == -1)
		return -1;
	out->len = len;
	out->what = STORED_DAMAGED;
	if (len > BLOB_ENCODED_MAX) {
		rv = 0;
		goto out;
	}
	want = whole || len < sizeof(head) ? (size_t)len : sizeof(head);
	if (want > sizeof(head) && (data = malloc(want)) == NULL) {
		err_set(e, ERR_NOMEM, "out of memory for a stored chunk");
		goto out;
	}
	if (io_pread_full(fd, data, want, 0, e) == -1)
		goto out;
	rv = 0;
	if (blob_parse(data, want, &info, NULL) == -1 ||
	    (whole && blob_check_crc(&info, NULL) == -1))
		goto out;
	if (!blob_kind_encrypted(info.kind))
		out->what = STORED_PLAIN;
	else if (info.kind == BLOB_ENCRYPTED)
		out->what = STORED_ENCRYPTED_UNCOMPRESSED;
	else
		out->what = STORED_ENCRYPTED;
out:
	if (data != head)
		free(data);
	io_close(&fd);
	return rv;
}

static int
look_at_stored(struct store *s, const struct chunk_put *p, struct stored *out,
    struct err *e)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	struct stat st;

	*out = (struct stored){.what = STORED_NONE};
	digest_chunk_path(&p->digest, path);
	if (fstatat(s->chunks_fd, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT
		    ? 0
		    : err_chunk(e, errno, "look at", &p->digest);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "chunk file %s is not a regular file",
		    path);
	out->what = STORED_DAMAGED;
	out->len = (uint64_t)st.st_size;
	out->suspect = store_state_is_suspect(s->state, st.st_ctim.tv_sec);
	if (st.st_size < CHUNK_LEN_MIN)
		return 0;
	return read_stored(s, &p->digest, out->suspect || out->len != p->len,
	    out, e);
}

enum verdict {
	VERDICT_KEEP,
	VERDICT_WRITE,
	VERDICT_REFUSE,
};

/* The table of chunk_store.h. */
static enum verdict
decide(const struct stored *st, const struct chunk_put *p, bool new_compressed)
{
	switch (st->what) {
	case STORED_NONE:
	case STORED_DAMAGED:
		return VERDICT_WRITE;
	case STORED_PLAIN:
		if (!p->verified)
			return VERDICT_REFUSE;
		return st->suspect || st->len > p->len ? VERDICT_WRITE
						       : VERDICT_KEEP;
	case STORED_ENCRYPTED_UNCOMPRESSED:
		if (!p->verified && !new_compressed && st->len != p->len)
			return VERDICT_REFUSE;
		/* fall through */
	case STORED_ENCRYPTED:
		return p->verified ? VERDICT_WRITE : VERDICT_KEEP;
	}
	return VERDICT_REFUSE;
}

static int
write_chunk(struct store *s, const struct chunk_put *p, bool replaces,
    struct err *e)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1], temp[CHUNK_NAME_MAX];
	int fd;

	if (store_check_space(s, p->len, e) == -1)
		return -1;
	digest_chunk_path(&p->digest, path);
	if (io_temp_name(temp, sizeof(temp), path, NULL) == -1)
		return err_set(e, ERR_INTERNAL, "chunk name is too long");
	fd = openat(s->chunks_fd, temp,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return err_chunk(e, errno, "create", &p->digest);
	if (io_write_full(fd, p->data, p->len, e) == -1) {
		err_wrap(e, "chunk file %s", path);
		goto fail;
	}
	if (fchmod(fd, STORE_FILE_MODE) == -1) {
		err_chunk(e, errno, "chmod", &p->digest);
		goto fail;
	}
	/* Finished snapshots may rely on the one that goes, and their sync is
	 * over: after a power cut the old one is there, or this one whole. */
	if (replaces && store_fsync(s, fd, "chunk", e) == -1)
		goto fail;
	if (close(fd) == -1) {
		fd = -1;
		err_chunk(e, errno, "close", &p->digest);
		goto fail;
	}
	fd = -1;
	if (renameat(s->chunks_fd, temp, s->chunks_fd, path) == -1) {
		err_chunk(e, errno, "rename", &p->digest);
		goto fail;
	}
	return 0;
fail:
	io_close(&fd);
	unlinkat(s->chunks_fd, temp, 0);
	return -1;
}

static int
refuse(struct store *s, const struct chunk_put *p, const struct stored *st,
    struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];

	digest_to_hex(&p->digest, hex);
	return err_set(e, ERR_EXISTS,
	    st->what == STORED_PLAIN
		? "Overwriting unencrypted chunk '%s' on store '%s' with "
		  "encrypted chunk with same digest not allowed!"
		: "Overwriting existing (encrypted) chunk '%s' on store '%s' "
		  "is not allowed!",
	    hex, s->name);
}

static int
put_locked(struct store *s, struct chunk_put *p, struct err *e)
{
	struct blob_info info;
	struct stored st;

	if (blob_parse(p->data, p->len, &info, e) == -1 ||
	    look_at_stored(s, p, &st, e) == -1)
		return -1;
	switch (decide(&st, p, info.kind == BLOB_ENCRYPTED_ZSTD)) {
	case VERDICT_KEEP:
		p->result = CHUNK_PUT_DUPLICATE;
		p->stored_len = st.len;
		return chunk_touch(s, &p->digest, e);
	case VERDICT_WRITE:
		p->result =
		    st.what == STORED_NONE ? CHUNK_PUT_NEW : CHUNK_PUT_REPLACED;
		p->stored_len = p->len;
		return write_chunk(s, p, st.what != STORED_NONE, e);
	case VERDICT_REFUSE:
		break;
	}
	return refuse(s, p, &st, e);
}

int
chunk_put(struct store *s, struct chunk_put *p, struct err *e)
{
	pthread_mutex_t *stripe = stripe_of(s, &p->digest);
	int rv;

	if (store_state_check(s->state, e) == -1)
		return -1;
	pthread_mutex_lock(stripe);
	rv = put_locked(s, p, e);
	pthread_mutex_unlock(stripe);
	return rv;
}

/* --- damaged ones ------------------------------------------------------- */

static bool
is_same_file(const struct store *s, const char *path, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	    fstatat(s->chunks_fd, path, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* N, or -1 and errno. */
static int
rename_to_bad(const struct store *s, const char *path)
{
	char bad[CHUNK_NAME_MAX];
	int n;

	for (n = 0; n < BAD_NAMES; n++) {
		snprintf(bad, sizeof(bad), "%s.%d.bad", path, n);
		if (renameat2(s->chunks_fd, path, s->chunks_fd, bad,
			n < BAD_NAMES - 1 ? RENAME_NOREPLACE : 0) == 0)
			return n;
		if (errno != EEXIST)
			break;
	}
	return -1;
}

int
chunk_rename_bad(struct store *s, const struct digest *d, int fd, int *n_out,
    struct err *e)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];
	pthread_mutex_t *stripe = stripe_of(s, d);
	int n = -1, sys = ENOENT;

	digest_chunk_path(d, path);
	/* This one first: who waits for it must not keep uploads waiting. */
	pthread_mutex_lock(&s->publish_lock);
	pthread_mutex_lock(stripe);
	if (is_same_file(s, path, fd)) {
		lost_tell(s, d);
		n = rename_to_bad(s, path);
		sys = errno;
	}
	pthread_mutex_unlock(stripe);
	pthread_mutex_unlock(&s->publish_lock);
	if (n == -1 && sys != ENOENT)
		return err_chunk(e, sys, "rename damaged", d);
	if (n_out != NULL)
		*n_out = n;
	return 0;
}

/* --- garbage ------------------------------------------------------------ */

static int
remove_locked(struct store *s, const struct digest *d, const char *path,
    const struct atime_cutoff *cutoff, struct chunk_removal *out, struct err *e)
{
	struct stat st;

	*out = (struct chunk_removal){.result = CHUNK_REMOVE_NONE};
	if (fstatat(s->chunks_fd, path, &st, AT_SYMLINK_NOFOLLOW) == -1) {
		if (errno != ENOENT) {
			err_chunk(e, errno, "look at", d);
			out->result = CHUNK_REMOVE_UNSEEN;
		}
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	out->size = (uint64_t)st.st_size;
	out->used = st.st_atim.tv_sec > st.st_mtim.tv_sec ? st.st_atim.tv_sec
							  : st.st_mtim.tv_sec;
	out->result = CHUNK_REMOVE_YOUNG;
	if (out->used >= cutoff->time)
		return 0;
	/* Under the lock: an upload before it has the clock that we see. */
	if (atime_cutoff_check(cutoff, e) == -1)
		return -1;
	if (unlinkat(s->chunks_fd, path, 0) == -1)
		return err_chunk(e, errno, "remove unused", d);
	out->result = CHUNK_REMOVE_DONE;
	return 0;
}

int
chunk_remove_old(struct store *s, const char *name,
    const struct atime_cutoff *cutoff, struct chunk_removal *out, struct err *e)
{
	char path[4 + 1 + CHUNK_NAME_LEN_MAX + 1];
	pthread_mutex_t *stripe;
	struct digest d;
	int rv;

	if (chunk_name_parse(name, &d) == CHUNK_NAME_OTHER)
		return err_set(e, ERR_INVALID, "not the name of a chunk");
	if (store_state_check(s->state, e) == -1)
		return -1;
	snprintf(path, sizeof(path), "%.4s/%s", name, name);
	stripe = stripe_of(s, &d);
	pthread_mutex_lock(stripe);
	rv = remove_locked(s, &d, path, cutoff, out, e);
	pthread_mutex_unlock(stripe);
	return rv;
}
