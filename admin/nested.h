#ifndef ADMIN_NESTED_H
#define ADMIN_NESTED_H

struct admin_opts;
struct err;

/*
 * Datastores inside each other: what the outer one removes or hands over may
 * be the inner one's.  ERR_EXISTS if one at this absolute path would lie in
 * another one, or another one in it; what cannot be looked at is an error.
 */
/* As far as the disk shows it; other folders than groups' and snapshots' in
 * its own .chunks are not looked into. */
int nested_check(const char *path, struct err *e);
/* As far as the validator, if it answers, knows of datastores. */
int nested_check_known(const struct admin_opts *o, const char *path,
    struct err *e);

#endif
