/*
 * Grants: made in auth, opened in the validator.  Between the two they lie in
 * a worker, so the opening side takes no byte for true before the HMAC is
 * checked, and then still checks form, worker, purpose and time.
 */
#include "config.h"

#include "common/grant.h"

#include <sys/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/privs.h"
#include "common/str.h"
#include "common/wire.h"

#define GRANT_VERSION 1
#define GRANT_MAC_LEN 32

static int
grant_mac(const uint8_t key[GRANT_KEY_LEN], const uint8_t *data, size_t len,
    uint8_t mac[GRANT_MAC_LEN])
{
	unsigned int mac_len;

	return HMAC(EVP_sha256(), key, GRANT_KEY_LEN, data, len, mac,
		   &mac_len) != NULL &&
		mac_len == GRANT_MAC_LEN
	    ? 0
	    : -1;
}

int
grant_seal(const struct grant *g, const uint8_t key[GRANT_KEY_LEN],
    uint8_t *out, size_t out_max, size_t *len_out, struct err *e)
{
	struct wire_w w;
	uint8_t *mac;
	size_t i, len;

	if (g->node_count > GRANT_NODES_MAX)
		return err_set(e, ERR_LIMIT,
		    "too many permissions for one request");
	wire_w_init(&w, out, out_max);
	wire_w_u8(&w, GRANT_VERSION);
	wire_w_u8(&w, (uint8_t)g->purpose);
	wire_w_u32(&w, g->pid);
	wire_w_u64(&w, g->expiry_ms);
	wire_w_bytes(&w, g->nonce, sizeof(g->nonce));
	wire_w_str16(&w, g->auth_id);
	wire_w_str16(&w, g->subject);
	wire_w_str16(&w, g->store);
	wire_w_str16(&w, g->ns);
	wire_w_u16(&w, (uint16_t)g->node_count);
	for (i = 0; i < g->node_count; i++) {
		wire_w_str16(&w, g->nodes[i].path);
		wire_w_u32(&w, g->nodes[i].exact);
		wire_w_u32(&w, g->nodes[i].propagated);
	}
	len = (size_t)(w.p - w.start);
	mac = wire_w_room(&w, GRANT_MAC_LEN);
	if (mac == NULL)
		return err_set(e, ERR_LIMIT,
		    "too many permissions for one request");
	if (grant_mac(key, out, len, mac) == -1)
		return err_set(e, ERR_CRYPTO, "HMAC of a grant failed");
	*len_out = len + GRANT_MAC_LEN;
	return 0;
}

static int
node_path_valid(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || strstr(path, "//") != NULL)
		return 0;
	return len == 1 || path[len - 1] != '/';
}

/* The nodes, strictly in order, the first being "/". */
static int
grant_read_nodes(struct grant *g, struct wire_r *r)
{
	size_t i, count = wire_r_u16(r);

	if (r->error || count == 0 || count > GRANT_NODES_MAX)
		return -1;
	g->nodes = xcalloc(count, sizeof(*g->nodes));
	g->node_count = count;
	for (i = 0; i < count; i++) {
		struct grant_node *n = &g->nodes[i];

		wire_r_str16(r, n->path, sizeof(n->path));
		n->exact = wire_r_u32(r);
		n->propagated = wire_r_u32(r);
		if (r->error || !node_path_valid(n->path) ||
		    ((n->exact | n->propagated) & ~PRIV_ALL) != 0)
			return -1;
		if (i == 0 ? strcmp(n->path, "/") != 0
			   : strcmp(g->nodes[i - 1].path, n->path) >= 0)
			return -1;
	}
	return 0;
}

static int
grant_read(struct grant *g, const uint8_t *data, size_t len)
{
	struct wire_r r;
	uint8_t version, purpose;

	wire_r_init(&r, data, len);
	version = wire_r_u8(&r);
	purpose = wire_r_u8(&r);
	g->purpose = (enum grant_purpose)purpose;
	g->pid = wire_r_u32(&r);
	g->expiry_ms = wire_r_u64(&r);
	wire_r_copy(&r, g->nonce, sizeof(g->nonce));
	wire_r_str16(&r, g->auth_id, sizeof(g->auth_id));
	wire_r_str16(&r, g->subject, sizeof(g->subject));
	wire_r_str16(&r, g->store, sizeof(g->store));
	wire_r_str16(&r, g->ns, sizeof(g->ns));
	if (r.error || version != GRANT_VERSION || g->auth_id[0] == '\0' ||
	    grant_read_nodes(g, &r) == -1)
		return -1;
	return wire_r_end(&r);
}

int
grant_open(struct grant *g, const uint8_t key[GRANT_KEY_LEN],
    const uint8_t *data, size_t len, uint32_t pid, enum grant_purpose purpose,
    uint64_t now_ms, struct err *e)
{
	uint8_t mac[GRANT_MAC_LEN];
	const char *why = NULL;

	memset(g, 0, sizeof(*g));
	if (len <= GRANT_MAC_LEN || len > IPC_GRANT_MAX)
		return err_set(e, ERR_PERM, "grant has a wrong length");
	len -= GRANT_MAC_LEN;
	if (grant_mac(key, data, len, mac) == -1)
		return err_set(e, ERR_PERM, "HMAC of a grant failed");
	if (!str_equal_ct(mac, data + len, GRANT_MAC_LEN))
		return err_set(e, ERR_PERM, "grant is forged or altered");
	if (grant_read(g, data, len) == -1)
		why = "grant is malformed";
	else if (g->pid != pid)
		why = "grant belongs to another process";
	else if (g->purpose != purpose)
		why = "grant is for another purpose";
	else if (now_ms >= g->expiry_ms)
		why = "grant is expired";
	else if (g->expiry_ms - now_ms > GRANT_LIFETIME_MS)
		why = "grant is valid for too long";
	if (why != NULL) {
		grant_fini(g);
		return err_set(e, ERR_PERM, "%s", why);
	}
	return 0;
}

void
grant_fini(struct grant *g)
{
	free(g->nodes);
	memset(g, 0, sizeof(*g));
}

/* Is path at top, or below it? */
static int
path_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (strncmp(path, top, len) != 0)
		return 0;
	return path[len] == '\0' || path[len] == '/' || len == 1;
}

uint32_t
grant_privs(const struct grant *g, const char *acl_path)
{
	const struct grant_node *nearest = NULL;
	size_t i;

	/* Ancestors of a path are prefixes of it, so among those found the
	 * last in path order is the longest. */
	for (i = 0; i < g->node_count; i++) {
		if (strcmp(g->nodes[i].path, acl_path) == 0)
			return g->nodes[i].exact;
		if (path_below(acl_path, g->nodes[i].path))
			nearest = &g->nodes[i];
	}
	return nearest == NULL ? 0 : nearest->propagated;
}

static int
store_path(char *dst, size_t dst_size, const char *store, const char *ns)
{
	int n = snprintf(dst, dst_size, "/datastore/%s%s%s", store,
	    ns[0] == '\0' ? "" : "/", ns);

	return n < 0 || (size_t)n >= dst_size ? -1 : 0;
}

uint32_t
grant_privs_ns(const struct grant *g, const char *store, const char *ns)
{
	char path[sizeof(g->nodes[0].path)];

	if (store_path(path, sizeof(path), store, ns) == -1)
		return 0;
	return grant_privs(g, path);
}

int
grant_any_below(const struct grant *g, const char *store, uint32_t privs)
{
	char path[sizeof(g->nodes[0].path)];
	size_t i;

	if (store_path(path, sizeof(path), store, "") == -1)
		return 0;
	if ((grant_privs(g, path) & privs) != 0)
		return 1;
	for (i = 0; i < g->node_count; i++) {
		if (path_below(g->nodes[i].path, path) &&
		    ((g->nodes[i].exact | g->nodes[i].propagated) & privs) != 0)
			return 1;
	}
	return 0;
}
