/* Paths inside of an archive, from a client's base64. */
#include "config.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/str.h"
#include "server/file_tree.h"

struct path_case {
	char text[64];
	int len;
	char expected[64]; /* components with '|' behind each; "!": refused */
};

ParameterizedTestParameters(file_path, parse)
{
	static struct path_case rows[] = {
	    {"", 0, ""},
	    {"/", 1, ""},
	    {"///", 3, ""},
	    {"a", 1, "a|"},
	    {"/a", 2, "a|"},
	    {"a/", 2, "a|"},
	    {"a/b", 3, "a|b|"},
	    {"//a///b//", 9, "a|b|"},
	    {"...", 3, "...|"},
	    {".a/..b", 6, ".a|..b|"},
	    {"\xff/\n", 3, "\xff|\n|"},
	    {".", 1, "!"},
	    {"..", 2, "!"},
	    {"a/../b", 6, "!"},
	    {"a/.", 3, "!"},
	    {"a\0b", 3, "!"},
	    {"a\0", 2, "!"},
	};

	return cr_make_param_array(struct path_case, rows,
	    sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct path_case *row, file_path, parse)
{
	struct file_path *p = calloc(1, sizeof(*p));
	char *base64 = str_base64_encode(row->text, (size_t)row->len, 0);
	char have[64] = "";
	struct err e = {0};
	size_t i;

	if (file_path_parse(p, base64, &e) == -1) {
		cr_expect_str_eq(row->expected, "!");
		cr_expect_eq(e.code, ERR_PARAM);
	} else {
		for (i = 0; i < p->count; i++) {
			strcat(have, p->component[i]);
			strcat(have, "|");
		}
		cr_expect_str_eq(have, row->expected);
	}
	free(base64);
	free(p);
}

Test(file_path, both_alphabets)
{
	struct file_path *p = calloc(1, sizeof(*p));
	struct err e;

	cr_assert_eq(file_path_parse(p, "+v8=", &e), 0);
	cr_expect_str_eq(p->component[0], "\xfa\xff");
	cr_assert_eq(file_path_parse(p, "-v8=", &e), 0);
	cr_expect_str_eq(p->component[0], "\xfa\xff");
	free(p);
}

Test(file_path, limits)
{
	struct file_path *p = calloc(1, sizeof(*p));
	size_t len = FILE_PATH_MAX + 1, i;
	char *text = malloc(len + 1), *base64;
	struct err e;

	memset(text, 'a', len);
	base64 = str_base64_encode(text, len, 0);
	cr_expect_eq(file_path_parse(p, base64, &e), -1);
	free(base64);
	base64 = str_base64_encode(text, len - 1, 0);
	cr_expect_eq(file_path_parse(p, base64, &e), 0);
	free(base64);
	for (i = 0; i < len; i++)
		text[i] = i % 2 == 0 ? 'a' : '/';
	base64 = str_base64_encode(text, 2 * FILE_PATH_COMPONENTS_MAX, 0);
	cr_expect_eq(file_path_parse(p, base64, &e), 0);
	cr_expect_eq(p->count, FILE_PATH_COMPONENTS_MAX);
	free(base64);
	base64 = str_base64_encode(text, 2 * FILE_PATH_COMPONENTS_MAX + 2, 0);
	cr_expect_eq(file_path_parse(p, base64, &e), -1);
	cr_expect_eq(e.code, ERR_LIMIT);
	free(base64);
	free(text);
	free(p);
}

Test(file_path, shift)
{
	struct file_path *p = calloc(1, sizeof(*p));
	struct err e;

	cr_assert_eq(file_path_parse(p, "YS9i", &e), 0); /* a/b */
	file_path_shift(p);
	cr_expect_eq(p->count, 1);
	cr_expect_str_eq(p->component[0], "b");
	file_path_shift(p);
	file_path_shift(p);
	cr_expect_eq(p->count, 0);
	free(p);
}
