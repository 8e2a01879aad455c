#ifndef ADMIN_LAYOUT_H
#define ADMIN_LAYOUT_H

#include <sys/types.h>

struct err;

/*
 * A new, empty datastore on disk (datastore-format 1.1, 1.7, 1.9): the
 * folder, .chunks with its 65536 folders, .lock.  path is absolute; the
 * folder is made if it is missing, its parent must exist.  ERR_EXISTS if
 * there is anything in it but dot files and lost+found, or if it lies in
 * another datastore or one in it (nested.h); ERR_UNSUPPORTED if times of files
 * prove nothing there (common/atime.h).  On failure nothing that was made here
 * is left.
 * progress is called now and then with a percentage; or NULL.
 */
int layout_create(const char *path, uid_t uid, gid_t gid,
    void (*progress)(int percent), struct err *e);
/* chunks: the folder of them; path: of the datastore, for the text. */
int layout_check_times(int chunks, const char *path, struct err *e);

#endif
