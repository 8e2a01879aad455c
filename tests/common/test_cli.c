/*
 * Command lines: what parses into which values, and what is refused how.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "common/cli.h"
#include "common/err.h"

struct values {
	int flag;
	const char *text;
	struct cli_u64 number;
	int format;
};

#define OFF(member) offsetof(struct values, member)

static const struct cli_opt options[] = {
    {"flag", 'f', CLI_FLAG, OFF(flag), NULL, NULL, NULL, "A flag"},
    {"text", 't', CLI_STR, OFF(text), "TEXT", "TEST_CLI_TEXT", NULL, "A text"},
    {"number", 0, CLI_U64, OFF(number), "N", NULL, NULL, "A number"},
    {"format", 0, CLI_ENUM, OFF(format), NULL, NULL, "text json pretty", "How"},
    {.name = NULL},
};

static int
run(void *values, int nargs, char **args, struct err *e)
{
	(void)values;
	(void)nargs;
	(void)args;
	return err_set(e, ERR_PERM, "no");
}

static const struct cli_command commands[] = {
    {"list", "", "flag", 0, 0, run, "List\nMore."},
    {"thing make", "NAME [SIZE]", "text number", 1, 2, run, "Make"},
    {"thing drop", "NAME...", "", 1, -1, run, "Drop"},
    {.name = NULL},
};

static const struct cli_program program = {
    .name = "prog",
    .doc = "Tests.",
    .options = options,
    .common = "format",
    .commands = commands,
};

#define ARGC_MAX 8

struct bad {
	char *argv[ARGC_MAX];
	const char *want;
};

static struct values values;
static const struct cli_command *cmd;
static char *args[ARGC_MAX + 1];
static int nargs;
static struct err e;

static int
parse(char **argv)
{
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	return cli_parse(&program, argc, argv, &values, &cmd, &nargs, args, &e);
}

#define PARSE(...) parse((char *[]){"prog", __VA_ARGS__, NULL})

Test(cli, command_with_arguments)
{
	cr_assert_eq(PARSE("thing", "make", "x", "12"), 0, "%s", e.msg);
	cr_assert_str_eq(cmd->name, "thing make");
	cr_assert_eq(nargs, 2);
	cr_assert_str_eq(args[0], "x");
	cr_assert_str_eq(args[1], "12");
}

Test(cli, options_anywhere)
{
	cr_assert_eq(PARSE("--format", "json", "thing", "--text=a=b", "make",
			 "--number", "7", "x"),
	    0, "%s", e.msg);
	cr_assert_str_eq(cmd->name, "thing make");
	cr_assert_eq(values.format, 1);
	cr_assert_str_eq(values.text, "a=b");
	cr_assert(values.number.given);
	cr_assert_eq(values.number.v, 7);
	cr_assert_eq(nargs, 1);
}

Test(cli, letters)
{
	cr_assert_eq(PARSE("list", "-f"), 0, "%s", e.msg);
	cr_assert_eq(values.flag, 1);
	cr_assert_eq(PARSE("thing", "make", "-tabc", "x"), 0, "%s", e.msg);
	cr_assert_str_eq(values.text, "abc");
	cr_assert_eq(PARSE("thing", "make", "-t", "def", "x"), 0, "%s", e.msg);
	cr_assert_str_eq(values.text, "def");
}

Test(cli, two_dashes_end_options)
{
	cr_assert_eq(PARSE("thing", "drop", "--", "--flag", "-"), 0, "%s",
	    e.msg);
	cr_assert_eq(nargs, 2);
	cr_assert_str_eq(args[0], "--flag");
	cr_assert_eq(values.flag, 0);
}

Test(cli, a_dash_is_an_argument)
{
	cr_assert_eq(PARSE("thing", "drop", "-"), 0, "%s", e.msg);
	cr_assert_str_eq(args[0], "-");
}

Test(cli, environment_is_the_default)
{
	setenv("TEST_CLI_TEXT", "from env", 1);
	cr_assert_eq(PARSE("thing", "make", "x"), 0, "%s", e.msg);
	cr_assert_str_eq(values.text, "from env");
	cr_assert_eq(PARSE("thing", "make", "x", "--text", "given"), 0, "%s",
	    e.msg);
	cr_assert_str_eq(values.text, "given");
}

Test(cli, empty_environment_counts_as_unset)
{
	setenv("TEST_CLI_TEXT", "", 1);
	cr_assert_eq(PARSE("thing", "make", "x"), 0, "%s", e.msg);
	cr_assert_null(values.text);
}

Test(cli, refuses)
{
	static struct bad rows[] = {
	    {{"prog"}, "no command given"},
	    {{"prog", "nothing"}, "unknown command 'nothing'"},
	    {{"prog", "thing"}, "'thing' needs one of: make, drop"},
	    {{"prog", "thing", "eat"}, "'thing' has: make, drop"},
	    {{"prog", "list", "x"}, "'list' takes no arguments"},
	    {{"prog", "thing", "make"}, "too few arguments"},
	    {{"prog", "thing", "make", "a", "b", "c"}, "too many arguments"},
	    {{"prog", "list", "--what"}, "unknown option '--what'"},
	    {{"prog", "list", "--tex", "x"}, "unknown option '--tex'"},
	    {{"prog", "list", "-x"}, "unknown option '-x'"},
	    {{"prog", "list", "-fx"}, "unknown option '-fx'"},
	    {{"prog", "list", "--flag=1"}, "takes no value"},
	    {{"prog", "thing", "make", "x", "--text"}, "needs a value"},
	    {{"prog", "thing", "make", "x", "-t"}, "needs a value"},
	    {{"prog", "list", "--text", "x"}, "'list' does not take '--text'"},
	    {{"prog", "list", "--format", "jso"}, "none of: text json pretty"},
	    {{"prog", "list", "--format", ""}, "none of"},
	    {{"prog", "thing", "make", "x", "--number", "-1"},
		"'-1' is not a number"},
	    {{"prog", "thing", "make", "x", "--number", "1k"},
		"'1k' is not a number"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cr_expect_eq(parse(rows[i].argv), -1, "%s", rows[i].want);
		cr_expect_eq(e.code, ERR_PARAM);
		cr_expect_not_null(strstr(e.msg, rows[i].want), "%s", e.msg);
	}
}

/* The help goes to a file that is read back. */
static char *
help_of(const struct cli_command *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	cli_help(f, &program, c);
	fclose(f);
	return text;
}

Test(cli, help_names_what_a_command_takes)
{
	char *text = help_of(&commands[1]);

	cr_assert_not_null(strstr(text, "prog thing make NAME [SIZE]"));
	cr_assert_not_null(strstr(text, "--text TEXT"));
	cr_assert_not_null(strstr(text, "[TEST_CLI_TEXT]"));
	cr_assert_not_null(strstr(text, "one of text json pretty"));
	cr_assert_null(strstr(text, "--flag"));
	free(text);
}

Test(cli, help_lists_every_command)
{
	const struct cli_command *c;
	char *text = help_of(NULL);

	for (c = commands; c->name != NULL; c++)
		cr_assert_not_null(strstr(text, c->name), "%s", c->name);
	cr_assert_null(strstr(text, "More."));
	free(text);
}

Test(cli, exit_codes)
{
	char *denied[] = {"prog", "list", NULL};
	char *usage[] = {"prog", "lost", NULL};
	char *help[] = {"prog", "list", "--help", NULL};

	cr_assert_eq(cli_main(&program, 2, denied, &values), CLI_EXIT_DENIED);
	cr_assert_eq(cli_main(&program, 2, usage, &values), CLI_EXIT_USAGE);
	cr_assert_eq(cli_main(&program, 3, help, &values), CLI_EXIT_OK);
	e.code = ERR_UNAVAILABLE;
	cr_assert_eq(cli_exit_code(&e), CLI_EXIT_UNAVAILABLE);
	e.code = ERR_IO;
	cr_assert_eq(cli_exit_code(&e), CLI_EXIT_FAILED);
}
