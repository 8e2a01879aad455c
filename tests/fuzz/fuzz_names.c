/* Names: what parses prints back as it was, and is safe as a path. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/format/auth_id.h"
#include "common/format/snapshot.h"

static void
require_safe_path(const char *s)
{
	FUZZ_REQUIRE(s[0] != '/' && s[0] != '.');
	FUZZ_REQUIRE(strstr(s, "/.") == NULL && strstr(s, "//") == NULL);
}

static void
try_namespace(const char *s)
{
	char path[NAMESPACE_PATH_MAX + 1];
	struct backup_ns ns;

	if (ns_parse(&ns, s, NULL) < 0)
		return;
	FUZZ_REQUIRE(strcmp(ns.name, s) == 0);
	ns_path(&ns, path);
	require_safe_path(path);
	while (ns_pop(&ns))
		;
	FUZZ_REQUIRE(ns.depth == 0 && ns.name[0] == '\0');
}

static void
try_snapshot(const char *s)
{
	char out[SNAPSHOT_STR_MAX + 1];
	struct backup_snapshot snap;
	struct backup_group group;
	enum archive_kind kind;
	int64_t t;

	if (snapshot_parse(&snap, s, NULL) == 0) {
		snapshot_to_str(&snap, out);
		FUZZ_REQUIRE(strcmp(out, s) == 0);
		require_safe_path(s);
	}
	if (group_parse(&group, s, NULL) == 0) {
		group_to_str(&group, out);
		FUZZ_REQUIRE(strcmp(out, s) == 0);
		require_safe_path(s);
		FUZZ_REQUIRE(group_cmp(&group, &group) == 0);
	}
	if (backup_time_parse(s, &t, NULL) == 0) {
		backup_time_to_str(t, out);
		FUZZ_REQUIRE(strcmp(out, s) == 0);
	}
	if (archive_name_parse(s, &kind, NULL) == 0)
		FUZZ_REQUIRE(strchr(s, '/') == NULL && s[0] != '.');
}

static void
try_auth_id(const char *s)
{
	char out[AUTH_ID_MAX + 1];
	struct auth_id a;

	if (auth_id_parse(&a, s, NULL) < 0)
		return;
	auth_id_to_str(&a, out);
	FUZZ_REQUIRE(strcmp(out, s) == 0);
	FUZZ_REQUIRE(strchr(s, ':') == NULL && strchr(s, '/') == NULL);
	FUZZ_REQUIRE(auth_id_owns(&a, &a));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *s = fuzz_string(data, len);

	try_namespace(s);
	try_snapshot(s);
	try_auth_id(s);
	if (datastore_name_valid(s))
		FUZZ_REQUIRE(safe_id_valid(s));
	free(s);
	return 0;
}
