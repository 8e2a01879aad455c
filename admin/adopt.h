#ifndef ADMIN_ADOPT_H
#define ADMIN_ADOPT_H

#include <sys/types.h>

struct err;

/*
 * Taking over a datastore that Proxmox Backup made, and handing it back
 * (datastore-format 1.7).  Checks that it is one (every chunk folder is there),
 * that it neither lies in another one nor another one in it (nested.h), that
 * times of files can be trusted there (common/atime.h) and that no program has
 * it locked, and gives files and folders to an owner and
 * the fixed ones their modes; what is right already is not touched, and no file
 * is rewritten.  Blocks as long as it takes to look at every file. ERR_CORRUPT,
 * ERR_LOCKED, ERR_EXISTS, ERR_UNSUPPORTED.  May be repeated after a failure.
 */
int layout_adopt(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e);
/* Also removes what Holdfast keeps beside the data. */
int layout_release(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e);

#endif
