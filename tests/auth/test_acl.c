/* Evaluation of access control lists, from tables (wire-protocol 6.2). */
#include "config.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/privs.h"
#include "server/auth/acl.h"

#define AUDIT PRIV_DATASTORE_AUDIT
#define READ_ALL \
	(PRIV_DATASTORE_AUDIT | PRIV_DATASTORE_VERIFY | PRIV_DATASTORE_READ)
#define BACKUP PRIV_DATASTORE_BACKUP

struct entry {
	const char *path;
	const char *role;
	int propagate;
};

/* Entries in order of path; a case asks for one path. */
struct acl_case {
	const char *name;
	struct entry user[5];
	struct entry token[5];
	int is_token;
	const char *path;
	uint32_t want;
};

static void
load(struct acl *a, const struct entry *entries)
{
	struct err e;
	size_t i;

	acl_init(a);
	for (i = 0; i < 5 && entries[i].path != NULL; i++)
		cr_assert_eq(acl_add(a, entries[i].path, entries[i].role,
				 entries[i].propagate, &e),
		    0, "%s", e.msg);
}

static const struct acl_case cases[] = {
    {"nothing by default", {{0}}, {{0}}, 0, "/datastore/s1", 0},
    {"handed down", {{"/", "DatastoreAudit", 1}}, {{0}}, 0, "/datastore/s1/a/b",
	AUDIT},
    {"not handed down", {{"/datastore", "DatastoreAudit", 0}}, {{0}}, 0,
	"/datastore/s1", 0},
    {"not handed down, but at its own path",
	{{"/datastore/s1", "DatastoreAudit", 0}}, {{0}}, 0, "/datastore/s1",
	AUDIT},
    {"deeper replaces, does not add",
	{{"/datastore", "DatastoreAudit", 1},
	    {"/datastore/s1", "DatastoreBackup", 1}},
	{{0}}, 0, "/datastore/s1/a", BACKUP},
    {"deeper without propagation leaves what is below alone",
	{{"/datastore", "DatastoreAudit", 1},
	    {"/datastore/s1", "DatastoreBackup", 0}},
	{{0}}, 0, "/datastore/s1/a", AUDIT},
    {"deeper without propagation replaces at its path",
	{{"/datastore", "DatastoreAudit", 1},
	    {"/datastore/s1", "DatastoreBackup", 0}},
	{{0}}, 0, "/datastore/s1", BACKUP},
    {"roles at one path add up",
	{{"/datastore/s1", "DatastoreBackup", 1},
	    {"/datastore/s1", "DatastoreReader", 1}},
	{{0}}, 0, "/datastore/s1/x", BACKUP | READ_ALL},
    {"only the propagating one of two goes down",
	{{"/datastore/s1", "DatastoreBackup", 0},
	    {"/datastore/s1", "DatastoreReader", 1}},
	{{0}}, 0, "/datastore/s1/x", READ_ALL},
    {"NoAccess wipes what comes from above",
	{{"/", "Admin", 1}, {"/datastore/s1", "NoAccess", 1}}, {{0}}, 0,
	"/datastore/s1/a", 0},
    {"NoAccess wipes its own path's other roles",
	{{"/datastore/s1", "DatastoreAdmin", 1},
	    {"/datastore/s1", "NoAccess", 1}},
	{{0}}, 0, "/datastore/s1", 0},
    {"NoAccess without propagation: its path only",
	{{"/", "DatastoreAudit", 1}, {"/datastore/s1", "NoAccess", 0}}, {{0}},
	0, "/datastore/s1/a", AUDIT},
    {"given again below NoAccess",
	{{"/", "NoAccess", 1}, {"/datastore/s1/a", "DatastoreBackup", 1}},
	{{0}}, 0, "/datastore/s1/a/b", BACKUP},
    {"a longer name is not below", {{"/datastore/s1", "Admin", 1}}, {{0}}, 0,
	"/datastore/s12", 0},
    {"names that sort before the slash",
	{{"/datastore/s1", "DatastoreAudit", 1},
	    {"/datastore/s1-b", "DatastoreBackup", 1},
	    {"/datastore/s1/a", "DatastoreReader", 1}},
	{{0}}, 0, "/datastore/s1/a/b", READ_ALL},
    {"a role that is not known gives nothing",
	{{"/datastore/s1", "Emperor", 1}}, {{0}}, 0, "/datastore/s1", 0},
    {"a token has nothing by default", {{"/", "Admin", 1}}, {{0}}, 1,
	"/datastore/s1", 0},
    {"a token has no more than its user",
	{{"/datastore/s1", "DatastoreBackup", 1}}, {{"/", "Admin", 1}}, 1,
	"/datastore/s1/a", BACKUP},
    {"a token has no more than itself", {{"/", "Admin", 1}},
	{{"/datastore/s1", "DatastoreBackup", 1}}, 1, "/datastore/s1/a",
	BACKUP},
    {"a token where its user has lost access",
	{{"/", "Admin", 1}, {"/datastore/s1/a", "NoAccess", 1}},
	{{"/datastore", "DatastoreBackup", 1}}, 1, "/datastore/s1/a/b", 0},
    {"a token beside the path that its user lost",
	{{"/", "Admin", 1}, {"/datastore/s1/a", "NoAccess", 1}},
	{{"/datastore", "DatastoreBackup", 1}}, 1, "/datastore/s1/b", BACKUP},
};

/* Direct, and through the nodes that go into a grant for that store. */
static void
evaluate(const struct acl_case *c)
{
	struct acl user, token;
	struct grant all = {0}, store = {0};
	uint32_t direct;

	load(&user, c->user);
	load(&token, c->token);
	direct = acl_exact(&user, c->path);
	if (c->is_token)
		direct &= acl_exact(&token, c->path);
	cr_expect_eq(direct, c->want, "%s: %#x", c->name, direct);
	acl_nodes(&user, c->is_token ? &token : NULL, NULL, NULL, &all.nodes,
	    &all.node_count);
	cr_expect_eq(grant_privs(&all, c->path), c->want, "%s: all nodes",
	    c->name);
	acl_nodes(&user, c->is_token ? &token : NULL, "s1", "", &store.nodes,
	    &store.node_count);
	if (strcmp(c->path, "/datastore/s12") != 0)
		cr_expect_eq(grant_privs(&store, c->path), c->want,
		    "%s: nodes of s1", c->name);
	grant_fini(&all);
	grant_fini(&store);
	acl_fini(&user);
	acl_fini(&token);
}

Test(acl, evaluates)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		evaluate(&cases[i]);
}

Test(acl, superuser_has_everything)
{
	struct grant g = {0};
	struct acl a;

	acl_init(&a);
	a.superuser = 1;
	acl_nodes(&a, NULL, "s1", "a/b", &g.nodes, &g.node_count);
	cr_expect_eq(g.node_count, 1);
	cr_expect_eq(grant_privs(&g, "/datastore/s1/a/b/c"), PRIV_ALL);
	grant_fini(&g);
}

Test(acl, entries_must_come_in_order)
{
	struct acl a;
	struct err e;

	acl_init(&a);
	cr_assert_eq(acl_add(&a, "/datastore", "Audit", 1, &e), 0);
	cr_expect_eq(acl_add(&a, "/", "Audit", 1, &e), -1);
	cr_expect_eq(e.code, ERR_INTERNAL);
	acl_fini(&a);
}

Test(acl, nodes_hold_only_what_the_request_needs)
{
	static const struct entry entries[5] = {
	    {"/", "DatastoreAudit", 1},
	    {"/datastore/s1/a", "DatastoreBackup", 1},
	    {"/datastore/s1/b", "DatastoreBackup", 1},
	    {"/datastore/s2", "DatastoreBackup", 1},
	    {"/system/tasks", "Audit", 1},
	};
	struct grant g = {0};
	struct acl a;

	load(&a, entries);
	acl_nodes(&a, NULL, "s1", "a", &g.nodes, &g.node_count);
	cr_assert_eq(g.node_count, 3);
	cr_expect_str_eq(g.nodes[0].path, "/");
	cr_expect_str_eq(g.nodes[1].path, "/datastore/s1/a");
	cr_expect_str_eq(g.nodes[2].path, "/system/tasks");
	grant_fini(&g);
	acl_nodes(&a, NULL, "", "", &g.nodes, &g.node_count);
	cr_expect_eq(g.node_count, 5);
	grant_fini(&g);
	acl_fini(&a);
}

Test(acl, nodes_that_change_nothing_are_left_out)
{
	static const struct entry entries[5] = {
	    {"/", "DatastoreAudit", 1},
	    {"/datastore", "DatastoreAudit", 1},
	    {"/datastore/s1", "DatastoreAudit", 1},
	};
	struct grant g = {0};
	struct acl a;

	load(&a, entries);
	acl_nodes(&a, NULL, NULL, NULL, &g.nodes, &g.node_count);
	cr_expect_eq(g.node_count, 1);
	grant_fini(&g);
	acl_fini(&a);
}

/* Never more rights than before, and every store that could be seen can. */
Test(acl, reduced_nodes_are_safe_and_still_show_stores)
{
	static const struct entry entries[5] = {
	    {"/", "Admin", 1},
	    {"/datastore/s1", "NoAccess", 1},
	    {"/datastore/s1-b/x", "NoAccess", 1},
	    {"/datastore/s1/a", "DatastoreBackup", 1},
	    {"/datastore/s1/b", "DatastoreBackup", 1},
	};
	static const char *const paths[] = {"/", "/datastore", "/datastore/s1",
	    "/datastore/s1/a", "/datastore/s1/a/z", "/datastore/s1/b",
	    "/datastore/s1-b", "/datastore/s1-b/x", "/datastore/s1-b/y",
	    "/datastore/other/z", "/system/tasks"};
	struct grant full = {0}, less = {0};
	struct acl a;
	size_t i;

	load(&a, entries);
	acl_nodes(&a, NULL, "", "", &full.nodes, &full.node_count);
	acl_nodes(&a, NULL, "", "", &less.nodes, &less.node_count);
	acl_nodes_reduce(&less.nodes, &less.node_count);
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		cr_expect_eq(grant_privs(&less, paths[i]) &
			~grant_privs(&full, paths[i]),
		    0, "%s", paths[i]);
	for (i = 1; i < less.node_count; i++)
		cr_expect_lt(strcmp(less.nodes[i - 1].path, less.nodes[i].path),
		    0);
	cr_expect(grant_any_below(&less, "s1", BACKUP));
	cr_expect_not(grant_any_below(&less, "s1", AUDIT));
	cr_expect(grant_any_below(&less, "s1-b", AUDIT));
	cr_expect(grant_any_below(&less, "other", AUDIT));
	cr_expect_eq(grant_privs(&less, "/system/tasks"), PRIV_ALL);
	grant_fini(&full);
	grant_fini(&less);
	acl_fini(&a);
}

Test(acl, reduction_makes_thousands_of_namespaces_fit)
{
	char path[64];
	struct grant g = {0};
	struct acl a;
	struct err e;
	int i;

	acl_init(&a);
	for (i = 0; i < 5000; i++) {
		snprintf(path, sizeof(path), "/datastore/s1/n%06d", i);
		cr_assert_eq(acl_add(&a, path, "DatastoreBackup", 1, &e), 0);
	}
	acl_nodes(&a, NULL, "", "", &g.nodes, &g.node_count);
	cr_expect_eq(g.node_count, 5001);
	acl_nodes_reduce(&g.nodes, &g.node_count);
	cr_expect_leq(g.node_count, 3);
	cr_expect(grant_any_below(&g, "s1", BACKUP));
	grant_fini(&g);
	/* One namespace's grant is small in any case. */
	acl_nodes(&a, NULL, "s1", "n000007", &g.nodes, &g.node_count);
	cr_expect_eq(g.node_count, 2);
	cr_expect_eq(grant_privs_ns(&g, "s1", "n000007"), BACKUP);
	cr_expect_eq(grant_privs_ns(&g, "s1", "n000008"), 0);
	grant_fini(&g);
	acl_fini(&a);
}

struct path_case {
	const char *path;
	int good;
};

static const struct path_case path_cases[] = {
    {"/", 1},
    {"/datastore", 1},
    {"/datastore/store", 1},
    {"/datastore/store/a/b/c/d/e/f/g", 1},
    {"/system", 1},
    {"/system/tasks", 1},
    {"/access/users", 1},
    {"/access/users/bob@pbs", 1},
    {"/remote/r1", 1},
    {"/tape/device/d", 1},
    {"", 0},
    {"datastore", 0},
    {"//", 0},
    {"/datastore/", 0},
    {"/datastore//a", 0},
    {"/datastore/st", 0},
    {"/datastore/store/", 0},
    {"/datastore/store/../x", 0},
    {"/datastore/store/a//b", 0},
    {"/datastore/store/a/b/c/d/e/f/g/h", 0},
    {"/datastores", 0},
    {"/system/", 0},
    {"/system/../x", 0},
    {"/systemd", 0},
    {"/nodes", 0},
    {"/datastore/store/.hidden", 0},
};

Test(acl, checks_paths)
{
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
		const struct path_case *c = &path_cases[i];

		cr_expect_eq(acl_path_check(c->path, &e), c->good ? 0 : -1,
		    "'%s'", c->path);
		if (!c->good)
			cr_expect_eq(e.code, ERR_PARAM);
	}
}

Test(acl, path_that_is_too_long)
{
	char path[ACL_PATH_MAX + 2];
	struct err e;

	memset(path, 'a', sizeof(path));
	memcpy(path, "/system/", 8);
	path[ACL_PATH_MAX + 1] = '\0';
	cr_expect_eq(acl_path_check(path, &e), -1);
	path[ACL_PATH_MAX] = '\0';
	cr_expect_eq(acl_path_check(path, &e), 0);
}
