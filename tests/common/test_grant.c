/* Grants: everything that a worker could do to one. */
#include "config.h"

#include <criterion/criterion.h>

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/err.h"
#include "common/grant.h"
#include "common/privs.h"

#define NOW 1000000u
#define PID 4711

static uint8_t key[GRANT_KEY_LEN] = {7, 7, 7};
static uint8_t sealed[IPC_GRANT_MAX];
static size_t len;
static struct err e;

static struct grant_node nodes[] = {
    {"/", PRIV_SYS_AUDIT, 0},
    {"/datastore/s1", PRIV_DATASTORE_BACKUP, PRIV_DATASTORE_BACKUP},
    {"/datastore/s1/a", PRIV_DATASTORE_READ, PRIV_DATASTORE_AUDIT},
};

static struct grant base = {
    .purpose = GRANT_PURPOSE_BACKUP,
    .pid = PID,
    .expiry_ms = NOW + GRANT_LIFETIME_MS,
    .nonce = {1, 2, 3},
    .auth_id = "bob@pbs!tok",
    .subject = "eve@pbs",
    .store = "s1",
    .ns = "a",
    .node_count = 3,
    .nodes = nodes,
};

static void
seal(const struct grant *g)
{
	cr_assert_eq(grant_seal(g, key, sealed, sizeof(sealed), &len, &e), 0,
	    "%s", e.msg);
}

static int
open_it(struct grant *g)
{
	return grant_open(g, key, sealed, len, PID, GRANT_PURPOSE_BACKUP, NOW,
	    &e);
}

/* Makes an altered grant genuine again, as only the key's holder could. */
static void
sign_again(void)
{
	unsigned int n;

	HMAC(EVP_sha256(), key, sizeof(key), sealed, len - 32,
	    sealed + len - 32, &n);
}

Test(grant, carries_everything)
{
	struct grant g;

	seal(&base);
	cr_assert_eq(open_it(&g), 0, "%s", e.msg);
	cr_expect_eq(g.purpose, GRANT_PURPOSE_BACKUP);
	cr_expect_str_eq(g.auth_id, "bob@pbs!tok");
	cr_expect_str_eq(g.subject, "eve@pbs");
	cr_expect_str_eq(g.store, "s1");
	cr_expect_str_eq(g.ns, "a");
	cr_expect_eq(g.node_count, 3);
	cr_expect_eq(grant_privs(&g, "/"), PRIV_SYS_AUDIT);
	cr_expect_eq(grant_privs(&g, "/datastore"), 0);
	cr_expect_eq(grant_privs_ns(&g, "s1", ""), PRIV_DATASTORE_BACKUP);
	cr_expect_eq(grant_privs_ns(&g, "s1", "a"), PRIV_DATASTORE_READ);
	cr_expect_eq(grant_privs_ns(&g, "s1", "a/b"), PRIV_DATASTORE_AUDIT);
	cr_expect_eq(grant_privs_ns(&g, "s1", "ab"), PRIV_DATASTORE_BACKUP);
	cr_expect_eq(grant_privs_ns(&g, "s12", ""), 0);
	cr_expect(grant_any_below(&g, "s1", PRIV_DATASTORE_READ));
	cr_expect_not(grant_any_below(&g, "s1", PRIV_DATASTORE_PRUNE));
	cr_expect_not(grant_any_below(&g, "s2", PRIV_ALL));
	grant_fini(&g);
}

/* Every bit of every field, and of the seal. */
Test(grant, every_changed_bit_is_noticed)
{
	struct grant g;
	size_t i;

	seal(&base);
	for (i = 0; i < len; i++) {
		sealed[i] ^= (uint8_t)(1u << (i % 8));
		cr_expect_eq(open_it(&g), -1, "byte %zu", i);
		cr_expect_eq(e.code, ERR_PERM);
		cr_expect_null(g.nodes);
		sealed[i] ^= (uint8_t)(1u << (i % 8));
	}
	cr_assert_eq(open_it(&g), 0);
	grant_fini(&g);
}

Test(grant, other_lengths_are_refused)
{
	struct grant g;
	size_t whole;

	seal(&base);
	whole = len;
	for (len = 0; len < whole; len++)
		cr_expect_eq(open_it(&g), -1, "%zu", len);
	len = whole + 1;
	cr_expect_eq(open_it(&g), -1);
	len = sizeof(sealed) + 1;
	cr_expect_eq(open_it(&g), -1);
}

Test(grant, another_key_does_not_open_it)
{
	struct grant g;

	seal(&base);
	key[31] ^= 1;
	cr_expect_eq(open_it(&g), -1);
	cr_expect_str_eq(e.msg, "grant is forged or altered");
}

Test(grant, is_bound_to_worker_purpose_and_time)
{
	struct grant g;

	seal(&base);
	cr_expect_eq(grant_open(&g, key, sealed, len, PID + 1,
			 GRANT_PURPOSE_BACKUP, NOW, &e),
	    -1);
	cr_expect_str_eq(e.msg, "grant belongs to another process");
	cr_expect_eq(grant_open(&g, key, sealed, len, PID, GRANT_PURPOSE_CALL,
			 NOW, &e),
	    -1);
	cr_expect_str_eq(e.msg, "grant is for another purpose");
	cr_expect_eq(grant_open(&g, key, sealed, len, PID, GRANT_PURPOSE_BACKUP,
			 NOW + GRANT_LIFETIME_MS, &e),
	    -1);
	cr_expect_str_eq(e.msg, "grant is expired");
	cr_expect_eq(grant_open(&g, key, sealed, len, PID, GRANT_PURPOSE_BACKUP,
			 NOW - 1, &e),
	    -1);
	cr_expect_str_eq(e.msg, "grant is valid for too long");
	cr_assert_eq(grant_open(&g, key, sealed, len, PID, GRANT_PURPOSE_BACKUP,
			 NOW + GRANT_LIFETIME_MS - 1, &e),
	    0);
	grant_fini(&g);
}

/* Even under the right key only the one form is taken. */
Test(grant, malformed_ones_are_refused)
{
	static const struct {
		const char *why;
		struct grant_node n[3];
		size_t count;
	} bad[] = {
	    {"no nodes", {{"/", 0, 0}}, 0},
	    {"does not start with /", {{"/datastore", 0, 0}}, 1},
	    {"twice the same", {{"/", 0, 0}, {"/", 0, 0}}, 2},
	    {"out of order",
		{{"/", 0, 0}, {"/datastore/b", 0, 0}, {"/datastore/a", 0, 0}},
		3},
	    {"not a path", {{"/", 0, 0}, {"datastore", 0, 0}}, 2},
	    {"slash at the end", {{"/", 0, 0}, {"/datastore/", 0, 0}}, 2},
	    {"empty component", {{"/", 0, 0}, {"/datastore//a", 0, 0}}, 2},
	    {"unknown privilege", {{"/", 1u << 31, 0}}, 1},
	};
	struct grant g = base, got;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g.nodes = (struct grant_node *)bad[i].n;
		g.node_count = bad[i].count;
		seal(&g);
		cr_expect_eq(open_it(&got), -1, "%s", bad[i].why);
		cr_expect_str_eq(e.msg, "grant is malformed", "%s", bad[i].why);
	}
	seal(&base);
	sealed[0] = 2; /* version */
	sign_again();
	cr_expect_eq(open_it(&got), -1);
	g = base;
	g.auth_id[0] = '\0';
	seal(&g);
	cr_expect_eq(open_it(&got), -1);
}

Test(grant, too_many_nodes_are_an_error)
{
	struct grant g = base;
	size_t i;

	g.nodes = calloc(GRANT_NODES_MAX + 1, sizeof(*g.nodes));
	g.node_count = GRANT_NODES_MAX + 1;
	cr_expect_eq(grant_seal(&g, key, sealed, sizeof(sealed), &len, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	g.node_count = GRANT_NODES_MAX;
	for (i = 0; i < g.node_count; i++)
		snprintf(g.nodes[i].path, sizeof(g.nodes[i].path),
		    "/datastore/store/a-very-long-name-of-a-namespace/%06zu",
		    i);
	cr_expect_eq(grant_seal(&g, key, sealed, sizeof(sealed), &len, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(g.nodes);
}

Test(grant, is_used_once)
{
	struct grant_seen *s = grant_seen_new();
	struct grant g = base;

	cr_expect_eq(grant_seen_add(s, &g, NOW, &e), 0);
	cr_expect_eq(grant_seen_add(s, &g, NOW + 1, &e), -1);
	cr_expect_eq(e.code, ERR_PERM);
	g.nonce[15] ^= 1;
	cr_expect_eq(grant_seen_add(s, &g, NOW, &e), 0);
	grant_seen_free(s);
}

/* Past its limit it refuses rather than forgets; what expired makes room. */
Test(grant, memory_of_used_ones_is_bounded)
{
	struct grant_seen *s = grant_seen_new();
	struct grant g = base;
	uint32_t i, taken = 0;

	for (i = 0; i < 300000; i++) {
		memcpy(g.nonce, &i, sizeof(i));
		if (grant_seen_add(s, &g, NOW, &e) == -1)
			break;
		taken++;
	}
	cr_expect_gt(taken, 190000);
	cr_expect_lt(taken, 300000, "no limit");
	i = 5;
	memcpy(g.nonce, &i, sizeof(i));
	cr_expect_eq(grant_seen_add(s, &g, NOW, &e), -1);
	g.expiry_ms = NOW + 3 * GRANT_LIFETIME_MS;
	cr_expect_eq(grant_seen_add(s, &g, NOW + 2 * GRANT_LIFETIME_MS, &e), 0,
	    "%s", e.msg);
	cr_expect_eq(grant_seen_add(s, &g, NOW + 2 * GRANT_LIFETIME_MS, &e),
	    -1);
	grant_seen_free(s);
}

/* Many of the same low bits meet in the table and are still told apart. */
Test(grant, nonces_that_collide_are_told_apart)
{
	struct grant_seen *s = grant_seen_new();
	struct grant g = base;
	int i;

	memset(g.nonce, 0, sizeof(g.nonce));
	for (i = 0; i < 500; i++) {
		g.nonce[8] = (uint8_t)i;
		g.nonce[9] = (uint8_t)(i >> 8);
		cr_assert_eq(grant_seen_add(s, &g, NOW, &e), 0, "%d", i);
	}
	for (i = 0; i < 500; i++) {
		g.nonce[8] = (uint8_t)i;
		g.nonce[9] = (uint8_t)(i >> 8);
		cr_assert_eq(grant_seen_add(s, &g, NOW, &e), -1, "%d", i);
	}
	grant_seen_free(s);
}

Test(grant_key, is_made_once_and_stays)
{
	char dir[] = "/tmp/holdfast-grant-XXXXXX", path[64];
	uint8_t one[GRANT_KEY_LEN], two[GRANT_KEY_LEN];
	struct stat st;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/grant.key", dir);
	cr_assert_eq(grant_key_load(path, one, &e), 0, "%s", e.msg);
	cr_assert_eq(grant_key_load(path, two, &e), 0, "%s", e.msg);
	cr_expect_arr_eq(one, two, GRANT_KEY_LEN);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0640);
	cr_expect_eq(chmod(path, 0644), 0);
	cr_expect_eq(grant_key_load(path, two, &e), -1, "others may read it");
	cr_expect_eq(e.code, ERR_PERM);
	cr_expect_eq(chmod(path, 0600), 0);
	cr_expect_eq(truncate(path, 31), 0);
	cr_expect_eq(grant_key_load(path, two, &e), -1);
	cr_expect_eq(e.code, ERR_CORRUPT);
	unlink(path);
	cr_expect_eq(symlink("/etc/passwd", path), 0);
	cr_expect_eq(grant_key_load(path, two, &e), -1, "follows a link");
	unlink(path);
	cr_expect_eq(rmdir(dir), 0, "something was left behind");
}

/* Whoever may not make or read it is told who can. */
Test(grant_key, says_who_may_make_and_read_it)
{
	char dir[] = "/tmp/holdfast-grant-XXXXXX", path[64];
	uint8_t made[GRANT_KEY_LEN];
	uid_t uid = geteuid();

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/grant.key", dir);
	cr_assert_eq(grant_key_load(path, made, &e), 0, "%s", e.msg);
	cr_assert_eq(chmod(path, uid == 0 ? 0600 : 0), 0);
	cr_assert_eq(chmod(dir, 0555), 0);
	if (uid == 0)
		cr_assert_eq(seteuid(65534), 0);
	cr_expect_eq(grant_key_load(path, made, &e), -1);
	cr_expect_not_null(strstr(e.msg, "group holdfast-grant"), "%s", e.msg);
	snprintf(path, sizeof(path), "%s/other.key", dir);
	cr_expect_eq(grant_key_load(path, made, &e), -1);
	cr_expect_not_null(strstr(e.msg, "holdfast-validator -k"), "%s", e.msg);
	cr_assert_eq(seteuid(uid), 0);
	cr_assert_eq(chmod(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/grant.key", dir);
	unlink(path);
	cr_expect_eq(rmdir(dir), 0, "something was left behind");
}
