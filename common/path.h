#ifndef COMMON_PATH_H
#define COMMON_PATH_H

#include <sys/types.h>

#include <stdbool.h>

struct err;

/*
 * Names below a folder that others may write to.  No function follows a
 * symbolic link, "..", or leaves dirfd.  All may block on a disk; dirfd stays
 * the caller's.
 */

/* One plain file name: 1 to 255 bytes, no "/", not "." or "..". */
int path_is_name(const char *name);
/* Relative, every component a path_is_name(), no empty one. */
int path_is_relative(const char *path);

/*
 * Opens path below dirfd; O_CLOEXEC, O_NOFOLLOW and O_NOCTTY are added.
 * Returns the descriptor or -1: ERR_INVALID for a path that is not plain,
 * else by errno (a link on the way gives ELOOP, a mount point is passed).
 */
int path_open(int dirfd, const char *path, int flags, mode_t mode,
    struct err *e);
/* The same without openat2(); for its test, and kernels or sandboxes that
 * lack the call. */
int path_open_walk(int dirfd, const char *path, int flags, mode_t mode,
    struct err *e);

/* Makes path and its parents below dirfd; what exists as a folder is fine and
 * keeps its mode.  New ones get exactly mode, whatever the umask. */
int path_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e);

/* Makes one of our own folders, which lasts over a power cut; as root it is
 * given away.  One that is there keeps the operator's owner and mode. */
int path_make_folder(const char *path, mode_t mode, uid_t uid, gid_t gid,
    struct err *e);

/*
 * Removes name below dirfd with everything in it; links are removed, not
 * followed, and a mount point inside is an error.  A name that is not there
 * is success.  Depth is limited to PATH_DEPTH_MAX.
 */
#define PATH_DEPTH_MAX 64
int path_remove_tree(int dirfd, const char *name, struct err *e);

/* For comparing, of trusted paths: this one without links, as far as there is
 * anything; the caller's. */
char *path_resolve(const char *path);
/* One lies below the other one, both as they come from path_resolve(). */
bool path_is_below(const char *path, const char *folder);

#endif
