#ifndef CLIENT_LISTING_H
#define CLIENT_LISTING_H

struct backup_snapshot;
struct err;
struct remote;

/* The snapshot of that name, or the newest finished one of a group.  Asks
 * the server only for a group. */
int listing_snapshot(struct remote *r, const char *ns, const char *name,
    struct backup_snapshot *out, struct err *e);

#endif
