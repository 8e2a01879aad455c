#include "config.h"

#include "common/conf.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "common/err.h"

struct store {
	char *title;
	char *path;
	int missing;
	uint64_t reserve;
};

struct conf {
	char *listen;
	uint64_t workers;
	uint64_t arena;
	uint64_t wait;
	int debug;
	struct conf_list hosts;
	struct conf_sections stores;
};

static int
check_absolute(const char *value, struct err *e)
{
	return value[0] == '/'
	    ? 0
	    : err_set(e, ERR_INVALID, "\"%s\" is not absolute", value);
}

#define S(field) offsetof(struct store, field)
#define C(field) offsetof(struct conf, field)

static const struct conf_opt store_opts[] = {
    {.name = "path",
	.type = CONF_STR,
	.offset = S(path),
	.flags = CONF_F_REQUIRED,
	.check = check_absolute,
	.doc = "Where it lies."},
    {.name = "on-missing",
	.type = CONF_ENUM,
	.offset = S(missing),
	.def = "abort",
	.choices = "abort abort-when-referenced",
	.flags = CONF_F_RELOAD,
	.doc = "What to do."},
    {.name = "reserve", .type = CONF_SIZE, .offset = S(reserve), .def = "1G"},
    {.name = NULL},
};

static const struct conf_opt opts[] = {
    {.name = "listen",
	.type = CONF_STR,
	.offset = C(listen),
	.def = "[::]:8007",
	.doc = "The address on which it listens, with a port, in a sentence "
	       "long enough for two lines."},
    {.name = "workers",
	.type = CONF_UINT,
	.offset = C(workers),
	.def = "4",
	.min = 1,
	.max = 64,
	.flags = CONF_F_RELOAD},
    {.name = "arena",
	.type = CONF_SIZE,
	.offset = C(arena),
	.def = "64M",
	.min = 65536},
    {.name = "wait", .type = CONF_DURATION, .offset = C(wait), .def = "60s"},
    {.name = "debug", .type = CONF_BOOL, .offset = C(debug), .def = "no"},
    {.name = "hosts", .type = CONF_LIST, .offset = C(hosts)},
    {.name = "datastore",
	.type = CONF_SECTION,
	.offset = C(stores),
	.sub = store_opts,
	.sub_size = sizeof(struct store)},
    {.name = NULL},
};

static struct conf
parse(const char *text)
{
	struct conf c;
	struct err e;

	cr_assert(conf_parse(text, "t.conf", opts, &c, sizeof(c), &e) == 0,
	    "%s", e.msg);
	return c;
}

Test(conf, defaults)
{
	struct conf c = parse("# nothing\n");

	cr_expect_str_eq(c.listen, "[::]:8007");
	cr_expect(c.workers == 4 && c.arena == 64 << 20 && c.wait == 60000);
	cr_expect(c.debug == 0 && c.hosts.n == 0 && c.stores.n == 0);
	conf_free(opts, &c, sizeof(c));
	cr_expect(c.listen == NULL);
	conf_free(opts, &c, sizeof(c));
}

Test(conf, values)
{
	struct conf c = parse("listen = \"127.0.0.1:0\"\n"
			      "workers = 8 arena = 2G\nwait = 500ms\n"
			      "debug = on\nhosts = {\"a\", b}\n"
			      "datastore \"s1\" { path = \"/a\" }\n"
			      "datastore s2 {\n path = /b\n"
			      " on-missing = abort-when-referenced }\n");
	struct store *s = c.stores.v;

	cr_expect_str_eq(c.listen, "127.0.0.1:0");
	cr_expect(c.workers == 8 && c.arena == UINT64_C(2) << 30 &&
	    c.wait == 500 && c.debug == 1);
	cr_assert(c.hosts.n == 2);
	cr_expect_str_eq(c.hosts.v[1], "b");
	cr_assert(c.stores.n == 2);
	cr_expect_str_eq(s[0].title, "s1");
	cr_expect_str_eq(s[0].path, "/a");
	cr_expect(s[0].missing == 0 && s[1].missing == 1);
	cr_expect(s[1].reserve == 1 << 30);
	conf_free(opts, &c, sizeof(c));
}

Test(conf, errors_name_file_line_and_option)
{
	static const struct {
		const char *text, *where, *what;
	} cases[] = {
	    {"\nport = 1\n", "t.conf:2", "port"},
	    {"workers = 0\n", "t.conf:1", "workers"},
	    {"\n\nworkers = 65\n", "t.conf:3", "workers"},
	    {"workers = many", "t.conf:1", "workers"},
	    {"workers = 1x", "t.conf:1", "workers"},
	    {"arena = 1Q", "t.conf:1", "arena"},
	    {"arena = 64KB", "t.conf:1", "arena"},
	    {"arena = 1K", "t.conf:1", "arena"},
	    {"arena = 99999999999T", "t.conf:1", "arena"},
	    {"wait = 1y", "t.conf:1", "wait"},
	    {"wait = -1s", "t.conf:1", "wait"},
	    {"debug = maybe", "t.conf:1", "debug"},
	    {"datastore a {\n path = rel\n}", "t.conf:2", "path"},
	    {"datastore a {\n path = /p\n on-missing = no\n}", "t.conf:3",
		"on-missing"},
	    {"datastore a {\n reserve = 1\n}", "t.conf", "path"},
	    {"datastore a { path = /p }\ndatastore a { path = /q }", "t.conf:2",
		"a"},
	    {"datastore {\n path = /p }", "t.conf:1", ""},
	    {"datastore a {\n sub = 1 }", "t.conf:2", "sub"},
	    {"listen = \"open", "t.conf", ""},
	    {"listen", "t.conf", ""},
	};
	struct conf c;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect(conf_parse(cases[i].text, "t.conf", opts, &c,
			      sizeof(c), &e) == -1,
		    "taken: %s", cases[i].text);
		cr_expect(strstr(e.msg, cases[i].where) != NULL, "%s: %s",
		    cases[i].text, e.msg);
		cr_expect(strstr(e.msg, cases[i].what) != NULL, "%s: %s",
		    cases[i].text, e.msg);
		cr_expect(c.listen == NULL && c.stores.v == NULL, "zeroed");
	}
}

Test(conf, ranges_are_said_in_words)
{
	static const struct {
		struct conf_opt o;
		const char *text;
	} cases[] = {
	    {{.type = CONF_UINT, .min = 1, .max = 8192}, "1 to 8192"},
	    {{.type = CONF_UINT, .max = 1024}, "0 to 1024"},
	    {{.type = CONF_UINT}, ""},
	    {{.type = CONF_SIZE, .min = 32 << 20}, "at least 32M"},
	    {{.type = CONF_SIZE, .min = 1000, .max = UINT64_C(1) << 40},
		"1000 to 1T"},
	    {{.type = CONF_DURATION, .min = 100, .max = 90 * 60 * 1000},
		"100ms to 90m"},
	    {{.type = CONF_STR}, ""},
	};
	struct conf c;
	struct err e;
	char *text;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = conf_range_text(&cases[i].o);
		cr_expect_str_eq(text, cases[i].text);
		free(text);
	}
	cr_assert(
	    conf_parse("arena = 1K", "t.conf", opts, &c, sizeof(c), &e) == -1);
	cr_expect_str_eq(e.msg,
	    "t.conf:1: option 'arena': 1K is out of range (at least 64K)");
}

Test(conf, from_a_file)
{
	char name[] = "/tmp/holdfast-conf-XXXXXX";
	struct conf c;
	struct err e;
	int fd = mkstemp(name);

	cr_assert(fd >= 0);
	cr_assert(write(fd, "workers = 9\n", 12) == 12);
	cr_assert(conf_load(name, opts, &c, sizeof(c), &e) == 0, "%s", e.msg);
	cr_expect(c.workers == 9);
	conf_free(opts, &c, sizeof(c));
	cr_assert(write(fd, "workers = x\n", 12) == 12);
	cr_assert(conf_load(name, opts, &c, sizeof(c), &e) == -1);
	cr_expect(strstr(e.msg, name) != NULL && strstr(e.msg, ":2") != NULL,
	    "%s", e.msg);
	cr_assert(unlink(name) == 0);
	cr_assert(conf_load(name, opts, &c, sizeof(c), &e) == -1);
	cr_expect(e.code == ERR_NOT_FOUND, "%s", e.msg);
	close(fd);
}

Test(conf, changed)
{
	struct conf a = parse("datastore a { path = /p }");
	struct conf b = parse("workers = 9 datastore a { path = /p "
			      "on-missing = abort-when-referenced }");
	struct conf c = parse("datastore a { path = /q }");
	struct conf d = parse("wait = 5 datastore a { path = /p }");

	cr_expect(conf_changed(opts, &a, &a) == NULL);
	cr_expect(conf_changed(opts, &a, &b) == NULL, "both may reload");
	cr_expect_str_eq(conf_changed(opts, &a, &c), "datastore");
	cr_expect_str_eq(conf_changed(opts, &a, &d), "wait");
	conf_free(opts, &a, sizeof(a));
	conf_free(opts, &b, sizeof(b));
	conf_free(opts, &c, sizeof(c));
	conf_free(opts, &d, sizeof(d));
}

/* With the comment signs of its options removed the sample is a valid file
 * that says the same as an empty one. */
Test(conf, sample_is_the_default)
{
	char *text = NULL, *out, *line, *save = NULL;
	struct conf a = parse(""), b;
	struct err e;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print_sample(f, opts);
	fclose(f);
	out = calloc(1, len + 1);
	for (line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		cr_expect(line[strspn(line, "\t")] == '#', "%s", line);
		cr_expect(strlen(line) <= 80);
		if (strstr(line, "datastore") != NULL)
			break;
		if (strchr(line, '=') != NULL)
			sprintf(out + strlen(out), "%s\n", line + 1);
	}
	cr_assert(conf_parse(out, "sample", opts, &b, sizeof(b), &e) == 0,
	    "%s in %s", e.msg, out);
	cr_expect(conf_changed(opts, &a, &b) == NULL);
	cr_expect(a.workers == b.workers);
	conf_free(opts, &a, sizeof(a));
	conf_free(opts, &b, sizeof(b));
	free(text);
	free(out);
}

Test(conf, manual)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print_man(f, opts);
	fclose(f);
	cr_expect(strstr(text, ".B on\\-missing\n") != NULL, "%s", text);
	cr_expect(strstr(text, "default 64M") != NULL);
	cr_expect(strstr(text, "required") != NULL);
	free(text);
}

Test(conf, spellings)
{
	uint64_t v;
	int b;

	cr_expect(conf_to_size("0", &v) == 0 && v == 0);
	cr_expect(conf_to_size("1T", &v) == 0 && v == UINT64_C(1) << 40);
	cr_expect(conf_to_size("", &v) == -1 && conf_to_size("K", &v) == -1);
	cr_expect(conf_to_size("1k", &v) == -1, "k is no unit");
	cr_expect(conf_to_duration_ms("5", &v) == 0 && v == 5000);
	cr_expect(conf_to_duration_ms("2d", &v) == 0 && v == 172800000);
	cr_expect(conf_to_duration_ms("18446744073709551615d", &v) == -1);
	cr_expect(conf_to_bool("true", &b) == 0 && b == 1);
	cr_expect(conf_to_bool("1", &b) == -1);
}
