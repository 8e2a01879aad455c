/*
 * Access control lists.  Runs in auth, as holdfast-auth; entries come from
 * its own database, paths and names in requests from workers.
 */
#include "config.h"

#include "server/auth/acl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/format/names.h"
#include "common/mem.h"
#include "common/privs.h"

#define ROLE_NO_ACCESS "NoAccess"
#define PATH_STORES "/datastore"
#define STORES_LEN (sizeof(PATH_STORES "/") - 1)
#define PATH_SYSTEM "/system"

void
acl_init(struct acl *a)
{
	memset(a, 0, sizeof(*a));
}

void
acl_fini(struct acl *a)
{
	size_t i;

	for (i = 0; i < a->count; i++)
		free(a->nodes[i].path);
	free(a->nodes);
	memset(a, 0, sizeof(*a));
}

static struct acl_node *
acl_push(struct acl *a, const char *path)
{
	if (a->count == a->cap) {
		a->cap = a->cap == 0 ? 16 : 2 * a->cap;
		a->nodes = xreallocarray(a->nodes, a->cap, sizeof(*a->nodes));
	}
	a->nodes[a->count] = (struct acl_node){.path = xstrdup(path)};
	return &a->nodes[a->count++];
}

int
acl_add(struct acl *a, const char *path, const char *role, int propagate,
    struct err *e)
{
	struct acl_node *n = a->count > 0 ? &a->nodes[a->count - 1] : NULL;
	int cmp = n == NULL ? -1 : strcmp(n->path, path);
	uint32_t privs;
	int known;

	if (cmp > 0)
		return err_set(e, ERR_INTERNAL, "ACL entries out of order");
	privs = privs_of_role(role, &known);
	if (!known)
		return 0;
	if (cmp < 0)
		n = acl_push(a, path);
	n->all |= privs;
	n->denied |= strcmp(role, ROLE_NO_ACCESS) == 0;
	if (propagate) {
		n->propagates = 1;
		n->propagated |= privs;
		n->denied_below |= strcmp(role, ROLE_NO_ACCESS) == 0;
	}
	return 0;
}

static const struct acl_node *
acl_find(const struct acl *a, const char *path, size_t len)
{
	size_t lo = 0, hi = a->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strncmp(a->nodes[mid].path, path, len);

		if (cmp == 0)
			cmp = a->nodes[mid].path[len] == '\0' ? 0 : 1;
		if (cmp == 0)
			return &a->nodes[mid];
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Length of the parent's path; 0 if "/" has none. */
static size_t
parent_len(const char *path, size_t len)
{
	if (len <= 1)
		return 0;
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 1 ? len - 1 : 1;
}

/* What the path (its first len bytes) hands down: the nearest node with
 * entries that propagate replaces everything above. */
static uint32_t
acl_handed_down(const struct acl *a, const char *path, size_t len)
{
	const struct acl_node *n;

	if (a->superuser)
		return PRIV_ALL;
	for (; len > 0; len = parent_len(path, len)) {
		n = acl_find(a, path, len);
		if (n != NULL && n->propagates)
			return n->denied_below ? 0 : n->propagated;
	}
	return 0;
}

uint32_t
acl_exact(const struct acl *a, const char *path)
{
	size_t len = strlen(path);
	const struct acl_node *n = acl_find(a, path, len);

	if (a->superuser)
		return PRIV_ALL;
	if (n != NULL)
		return n->denied ? 0 : n->all;
	return acl_handed_down(a, path, parent_len(path, len));
}

uint32_t
acl_propagated(const struct acl *a, const char *path)
{
	return acl_handed_down(a, path, strlen(path));
}

/* --- paths --------------------------------------------------------------- */

/* The part behind "/datastore/". */
static int
store_path_valid(const char *rest)
{
	char store[DATASTORE_NAME_MAX + 1];
	size_t len = strcspn(rest, "/");
	struct backup_ns ns;
	struct err ignored;

	if (len >= sizeof(store))
		return 0;
	memcpy(store, rest, len);
	store[len] = '\0';
	if (!datastore_name_valid(store))
		return 0;
	if (rest[len] == '\0')
		return 1;
	return rest[len + 1] != '\0' &&
	    ns_parse(&ns, rest + len + 1, &ignored) == 0;
}

static int
components_valid(const char *path)
{
	char name[ACL_PATH_MAX + 1];
	size_t len;

	for (; *path == '/'; path += len) {
		path++;
		len = strcspn(path, "/");
		memcpy(name, path, len);
		name[len] = '\0';
		/* Below /access stand user ids, which have an "@" and more. */
		if (len == 0 || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			return 0;
	}
	return *path == '\0';
}

int
acl_path_check(const char *path, struct err *e)
{
	static const char *const tops[] = {"/access", "/remote", PATH_SYSTEM,
	    "/tape"};
	size_t i, len;

	if (strlen(path) > ACL_PATH_MAX)
		return err_set(e, ERR_PARAM, "path: longer than %d bytes",
		    ACL_PATH_MAX);
	if (strcmp(path, "/") == 0 || strcmp(path, PATH_STORES) == 0)
		return 0;
	len = strlen(PATH_STORES);
	if (strncmp(path, PATH_STORES "/", len + 1) == 0) {
		if (store_path_valid(path + len + 1))
			return 0;
		return err_set(e, ERR_PARAM,
		    "path: not /datastore/STORE[/NAMESPACE]");
	}
	for (i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		len = strlen(tops[i]);
		if (strncmp(path, tops[i], len) == 0 &&
		    components_valid(path + len))
			return 0;
	}
	return err_set(e, ERR_PARAM,
	    "path: must be /, /datastore[/STORE[/NAMESPACE]], or below "
	    "/system, /access, /remote or /tape");
}

/* --- nodes of a grant ---------------------------------------------------- */

static int
path_within(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strncmp(path, top, len) == 0 &&
	    (path[len] == '\0' || path[len] == '/' || len == 1);
}

static int
node_wanted(const char *path, const char *store, const char *base)
{
	if (store == NULL || path_within(path, PATH_SYSTEM))
		return 1;
	return path_within(path, base) || path_within(base, path);
}

static uint32_t
nodes_handed_down(const struct grant_node *nodes, size_t count,
    const char *path)
{
	for (; count > 0; count--) {
		if (path_within(path, nodes[count - 1].path))
			return nodes[count - 1].propagated;
	}
	return 0;
}

/* Appends the node unless it only repeats what is handed down to it. */
static void
nodes_add(struct grant_node *nodes, size_t *count, const struct acl *user,
    const struct acl *token, const char *path)
{
	struct grant_node *n = &nodes[*count];
	uint32_t above = nodes_handed_down(nodes, *count, path);

	n->exact = acl_exact(user, path);
	n->propagated = acl_propagated(user, path);
	if (token != NULL) {
		n->exact &= acl_exact(token, path);
		n->propagated &= acl_propagated(token, path);
	}
	if (*count > 0 && n->exact == above && n->propagated == above)
		return;
	snprintf(n->path, sizeof(n->path), "%s", path);
	(*count)++;
}

void
acl_nodes(const struct acl *user, const struct acl *token, const char *store,
    const char *ns, struct grant_node **nodes_out, size_t *count_out)
{
	size_t u = 0, t = 0, tokens = token == NULL ? 0 : token->count;
	char base[ACL_PATH_MAX + 1] = PATH_STORES;
	struct grant_node *nodes =
	    xcalloc(1 + user->count + tokens, sizeof(*nodes));
	size_t count = 0;

	if (store != NULL && store[0] != '\0')
		snprintf(base, sizeof(base), PATH_STORES "/%s%s%s", store,
		    ns[0] == '\0' ? "" : "/", ns);
	nodes_add(nodes, &count, user, token, "/");
	while (u < user->count || t < tokens) {
		int cmp = u == user->count ? 1
		    : t == tokens
		    ? -1
		    : strcmp(user->nodes[u].path, token->nodes[t].path);
		const char *path =
		    cmp <= 0 ? user->nodes[u].path : token->nodes[t].path;

		u += cmp <= 0;
		t += cmp >= 0;
		if (strcmp(path, "/") != 0 && node_wanted(path, store, base))
			nodes_add(nodes, &count, user, token, path);
	}
	*nodes_out = nodes;
	*count_out = count;
}

static int
cmp_path(const void *a, const void *b)
{
	const struct grant_node *na = a, *nb = b;

	return strcmp(na->path, nb->path);
}

/* Order of a tree: what is below a path follows it at once, since "/" comes
 * before every other character. */
static int
cmp_tree(const void *a, const void *b)
{
	const char *pa = ((const struct grant_node *)a)->path;
	const char *pb = ((const struct grant_node *)b)->path;

	while (*pa != '\0' && *pa == *pb) {
		pa++;
		pb++;
	}
	if (*pa == '/' || *pb == '/')
		return *pa == '/' ? (*pb == '\0' ? 1 : -1)
				  : (*pa == '\0' ? -1 : 1);
	return (unsigned char)*pa - (unsigned char)*pb;
}

/*
 * In the result no store hands anything down, so that leaving out a node
 * inside it can only take rights away.  Of those nodes one stays for each
 * privilege that the store's nodes before it do not show yet.
 */
void
acl_nodes_reduce(struct grant_node **nodes, size_t *count)
{
	struct grant_node *in = *nodes, *out;
	char store[ACL_PATH_MAX + 1] = "";
	size_t i, kept = 0;
	uint32_t shown = 0;

	qsort(in, *count, sizeof(*in), cmp_tree);
	out = xcalloc(2 * *count, sizeof(*out));
	for (i = 0; i < *count; i++) {
		struct grant_node n = in[i];

		if (strncmp(n.path, PATH_STORES "/", STORES_LEN) != 0) {
			out[kept++] = n;
			continue;
		}
		n.propagated = 0;
		if (store[0] == '\0' || !path_within(n.path, store)) {
			struct grant_node *top = &out[kept];

			snprintf(store, sizeof(store), "%.*s",
			    (int)(STORES_LEN +
				strcspn(n.path + STORES_LEN, "/")),
			    n.path);
			snprintf(top->path, sizeof(top->path), "%s", store);
			top->exact = strcmp(n.path, store) == 0
			    ? n.exact
			    : nodes_handed_down(out, kept, store);
			shown = top->exact;
			kept++;
		}
		if ((n.exact & ~shown) != 0) {
			shown |= n.exact;
			out[kept++] = n;
		}
	}
	qsort(out, kept, sizeof(*out), cmp_path);
	free(in);
	*nodes = out;
	*count = kept;
}
