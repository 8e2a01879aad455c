/* Safe identifiers, datastores, namespaces, archives. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "common/err.h"
#include "common/format/names.h"

struct name_case {
	char name[64];
	bool safe;
	bool datastore;
};

ParameterizedTestParameters(names, identifiers)
{
	static struct name_case rows[] = {
	    {"a", true, false},
	    {"ab", true, false},
	    {"abc", true, true},
	    {"_x.y-z", true, true},
	    {"0.1", true, true},
	    {"12345678901234567890123456789012", true, true},
	    {"123456789012345678901234567890123", true, false},
	    {"", false, false},
	    {".abc", false, false},
	    {"-abc", false, false},
	    {"..", false, false},
	    {"a/b", false, false},
	    {"a b", false, false},
	    {"abc\n", false, false},
	    {"a\\b", false, false},
	    {"\xc3\xa4\x62\x63", false, false},
	};

	return cr_make_param_array(struct name_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct name_case *row, names, identifiers)
{
	cr_expect_eq(safe_id_valid(row->name), row->safe, "%s", row->name);
	cr_expect_eq(datastore_name_valid(row->name), row->datastore, "%s",
	    row->name);
}

Test(names, identifier_fits_a_file_name)
{
	char s[300];

	memset(s, 'x', sizeof(s));
	s[255] = '\0';
	cr_expect(safe_id_valid(s));
	s[255] = 'x';
	s[256] = '\0';
	cr_expect_not(safe_id_valid(s));
}

static void
expect_ns(const char *s, unsigned int depth, const char *path, const char *leaf)
{
	char out[NAMESPACE_PATH_MAX + 1];
	struct backup_ns ns;
	struct err e;

	cr_assert_eq(ns_parse(&ns, s, &e), 0, "%s", s);
	cr_expect_eq(ns.depth, depth);
	ns_path(&ns, out);
	cr_expect_str_eq(out, path);
	cr_expect_str_eq(ns_leaf(&ns), leaf);
}

Test(names, namespaces_have_paths)
{
	expect_ns("", 0, "", "");
	expect_ns("a", 1, "ns/a", "a");
	expect_ns("a/b/c", 3, "ns/a/ns/b/ns/c", "c");
	expect_ns("1/2/3/4/5/6/7", 7, "ns/1/ns/2/ns/3/ns/4/ns/5/ns/6/ns/7",
	    "7");
}

Test(names, refuses_bad_namespaces)
{
	static const char *const bad[] = {"/", "/a", "a/", "a//b", "..",
	    "a/../b", "a/.b", "1/2/3/4/5/6/7/8", "a b"};
	struct backup_ns ns;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect_eq(ns_parse(&ns, bad[i], &e), -1, "%s", bad[i]);
		cr_expect_eq(e.code, ERR_PARAM);
	}
}

/* The reference refuses at current + component + 1 > 256. */
Test(names, namespace_length)
{
	char s[600], out[NAMESPACE_PATH_MAX + 1];
	struct backup_ns ns;
	struct err e;

	memset(s, 'a', sizeof(s));
	s[255] = '\0';
	cr_expect_eq(ns_parse(&ns, s, &e), 0);
	s[200] = '/';
	cr_expect_eq(ns_parse(&ns, s, &e), 0);
	ns_path(&ns, out);
	cr_expect_eq(strlen(out), 255 + 6);
	s[255] = 'a';
	s[256] = '\0';
	cr_expect_eq(ns_parse(&ns, s, &e), 0);
	cr_expect_eq(strlen(ns.name), 256);
	s[256] = 'a';
	s[257] = '\0';
	cr_expect_eq(ns_parse(&ns, s, &e), -1);
	s[200] = 'a';
	s[599] = '\0';
	cr_expect_eq(ns_parse(&ns, s, &e), -1);
}

Test(names, namespaces_nest)
{
	struct backup_ns a, b, root;
	struct err e;

	ns_parse(&root, NULL, &e);
	ns_parse(&a, "a/b", &e);
	ns_parse(&b, "a/b/c", &e);
	cr_expect(ns_contains(&root, &a));
	cr_expect(ns_contains(&a, &a));
	cr_expect(ns_contains(&a, &b));
	cr_expect_not(ns_contains(&b, &a));
	cr_expect_not(ns_contains(&a, &root));
	ns_parse(&b, "a/bc", &e);
	cr_expect_not(ns_contains(&a, &b));
	cr_expect(ns_pop(&a));
	cr_expect_str_eq(a.name, "a");
	cr_expect(ns_pop(&a));
	cr_expect_str_eq(a.name, "");
	cr_expect_eq(a.depth, 0);
	cr_expect_not(ns_pop(&a));
	cr_expect_eq(ns_push(&a, "x/y", &e), -1);
	cr_expect_eq(ns_push(&a, "x", &e), 0);
	cr_expect_str_eq(a.name, "x");
}

Test(names, archives_by_extension)
{
	enum archive_kind k;
	struct err e;
	char s[300];

	cr_expect_eq(archive_name_parse("drive-scsi0.img.fidx", &k, &e), 0);
	cr_expect_eq(k, ARCHIVE_FIXED);
	cr_expect_eq(archive_name_parse("root.pxar.didx", &k, &e), 0);
	cr_expect_eq(k, ARCHIVE_DYNAMIC);
	cr_expect_eq(archive_name_parse(MANIFEST_NAME, &k, &e), 0);
	cr_expect_eq(k, ARCHIVE_BLOB);
	cr_expect_str_eq(archive_kind_ext(ARCHIVE_FIXED), ".fidx");
	cr_expect_eq(archive_name_parse(".fidx", &k, &e), -1);
	cr_expect_eq(archive_name_parse("fidx", &k, &e), -1);
	cr_expect_eq(archive_name_parse("a.FIDX", &k, &e), -1);
	cr_expect_eq(archive_name_parse("a.fidx.tmp_fidx", &k, &e), -1);
	cr_expect_eq(archive_name_parse("../a.blob", &k, &e), -1);
	cr_expect_eq(archive_name_parse("", &k, &e), -1);
	memset(s, 'a', sizeof(s));
	strcpy(s + 244, ".blob");
	cr_expect_eq(archive_name_parse(s, &k, &e), 0);
	memset(s, 'a', 245);
	strcpy(s + 245, ".blob");
	cr_expect_eq(archive_name_parse(s, &k, &e), -1);
}
