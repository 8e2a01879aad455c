/*
 * From an identity to its privileges: entries from the database, evaluated by
 * acl.c.  Runs in auth.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/auth_id.h"
#include "server/auth/accounts.h"
#include "server/auth/acl.h"
#include "server/auth/auth.h"

int
rights_load(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *store, const char *ns, struct grant_node **nodes_out,
    size_t *count_out, struct err *e)
{
	char userid[AUTH_ID_MAX + 1];
	struct acl user, token;
	struct auth_id id;
	int rv = -1;

	acl_init(&user);
	acl_init(&token);
	if (auth_id_parse(&id, auth_id, e) == -1)
		return -1;
	auth_id_user_to_str(&id, userid);
	if (accounts_acl_load(a->accounts, t, userid, &user, e) == 0 &&
	    (!auth_id_is_token(&id) ||
		accounts_acl_load(a->accounts, t, auth_id, &token, e) == 0)) {
		acl_nodes(&user, auth_id_is_token(&id) ? &token : NULL, store,
		    ns, nodes_out, count_out);
		rv = 0;
	}
	acl_fini(&user);
	acl_fini(&token);
	return rv;
}

int
rights_at(struct auth *a, struct lmdb_txn *t, const char *auth_id,
    const char *path, uint32_t *privs_out, struct err *e)
{
	struct grant g = {0};

	*privs_out = 0;
	if (rights_load(a, t, auth_id, NULL, NULL, &g.nodes, &g.node_count,
		e) == -1)
		return -1;
	*privs_out = grant_privs(&g, path);
	grant_fini(&g);
	return 0;
}
