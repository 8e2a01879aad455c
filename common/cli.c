/*
 * Command lines of holdfast and holdfast-admin.  Runs as whoever typed them;
 * the words are that person's own, so a mistake is explained, not distrusted.
 */
#include "config.h"

#include "common/cli.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/str.h"

/* What was given, before the command is known. */
struct given {
	const struct cli_opt *opt;
	const char *value; /* NULL for a flag */
};

struct parser {
	const struct cli_program *p;
	struct given *given;
	size_t ngiven;
	char **words;
	int nwords;
	int want_help;
};

int
cli_list_has(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	while (list != NULL && *list != '\0') {
		n = strcspn(list, " ");
		if (n == len && strncmp(list, word, len) == 0)
			return 1;
		list += n + strspn(list + n, " ");
	}
	return 0;
}

int
cli_takes(const struct cli_program *p, const struct cli_command *cmd,
    const struct cli_opt *o)
{
	return cli_list_has(p->common, o->name) ||
	    cli_list_has(cmd->options, o->name);
}

static const struct cli_opt *
find_long(const struct cli_program *p, const char *name, size_t len)
{
	const struct cli_opt *o;

	for (o = p->options; o->name != NULL; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_opt *
find_letter(const struct cli_program *p, char letter)
{
	const struct cli_opt *o;

	for (o = p->options; o->name != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static void
add_given(struct parser *ps, const struct cli_opt *o, const char *value)
{
	ps->given[ps->ngiven].opt = o;
	ps->given[ps->ngiven++].value = value;
}

/* "--name", "--name=value", "--name value".  *i moves over what was used. */
static int
read_long(struct parser *ps, int argc, char **argv, int *i, struct err *e)
{
	const char *name = argv[*i] + 2, *eq = strchr(name, '=');
	size_t len = eq != NULL ? (size_t)(eq - name) : strlen(name);
	const struct cli_opt *o = find_long(ps->p, name, len);

	if (eq == NULL && strcmp(name, "help") == 0) {
		ps->want_help = 1;
		return 0;
	}
	if (o == NULL)
		return err_set(e, ERR_PARAM, "unknown option '--%.*s'",
		    (int)len, name);
	if (o->type == CLI_FLAG) {
		if (eq != NULL)
			return err_set(e, ERR_PARAM,
			    "option '--%s' takes no value", o->name);
		add_given(ps, o, NULL);
		return 0;
	}
	if (eq == NULL && *i + 1 >= argc)
		return err_set(e, ERR_PARAM, "option '--%s' needs a value",
		    o->name);
	add_given(ps, o, eq != NULL ? eq + 1 : argv[++*i]);
	return 0;
}

/* "-x", "-x value", "-xvalue"; letters are not bundled. */
static int
read_short(struct parser *ps, int argc, char **argv, int *i, struct err *e)
{
	const char *arg = argv[*i];
	const struct cli_opt *o = find_letter(ps->p, arg[1]);

	if (strcmp(arg, "-h") == 0) {
		ps->want_help = 1;
		return 0;
	}
	if (o == NULL || (o->type == CLI_FLAG && arg[2] != '\0'))
		return err_set(e, ERR_PARAM, "unknown option '%s'", arg);
	if (o->type == CLI_FLAG) {
		add_given(ps, o, NULL);
		return 0;
	}
	if (arg[2] == '\0' && *i + 1 >= argc)
		return err_set(e, ERR_PARAM, "option '-%c' needs a value",
		    o->letter);
	add_given(ps, o, arg[2] != '\0' ? arg + 2 : argv[++*i]);
	return 0;
}

static int
read_words(struct parser *ps, int argc, char **argv, struct err *e)
{
	int i, only_words = 0, rv = 0;

	for (i = 1; i < argc && rv == 0; i++) {
		if (only_words || argv[i][0] != '-' || argv[i][1] == '\0')
			ps->words[ps->nwords++] = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			only_words = 1;
		else if (argv[i][1] == '-')
			rv = read_long(ps, argc, argv, &i, e);
		else
			rv = read_short(ps, argc, argv, &i, e);
	}
	return rv;
}

/* How many words of a command's name these words begin with, if all. */
static int
match_name(const char *name, char **words, int nwords)
{
	size_t len;
	int n;

	for (n = 0; *name != '\0'; n++) {
		len = strcspn(name, " ");
		if (n >= nwords || strlen(words[n]) != len ||
		    strncmp(words[n], name, len) != 0)
			return 0;
		name += len + strspn(name + len, " ");
	}
	return n;
}

static const struct cli_command *
find_command(const struct cli_program *p, char **words, int nwords, int *used)
{
	const struct cli_command *c;

	for (c = p->commands; c->name != NULL; c++)
		if ((*used = match_name(c->name, words, nwords)) > 0)
			return c;
	return NULL;
}

/* The subcommands of a first word, for the message. */
static int
no_command(const struct cli_program *p, char **words, int nwords, struct err *e)
{
	const struct cli_command *c;
	char list[256] = "";
	size_t len;

	if (nwords == 0)
		return err_set(e, ERR_PARAM, "no command given");
	len = strlen(words[0]);
	for (c = p->commands; c->name != NULL; c++) {
		if (strncmp(c->name, words[0], len) != 0 || c->name[len] != ' ')
			continue;
		if (strlen(list) + strlen(c->name + len) + 2 > sizeof(list))
			break;
		if (list[0] != '\0')
			strcat(list, ",");
		strcat(list, c->name + len);
	}
	if (list[0] == '\0')
		return err_set(e, ERR_PARAM, "unknown command '%s'", words[0]);
	if (nwords == 1)
		return err_set(e, ERR_PARAM, "'%s' needs one of:%s", words[0],
		    list);
	return err_set(e, ERR_PARAM, "unknown command '%s %s'; '%s' has:%s",
	    words[0], words[1], words[0], list);
}

static int
set_enum(const struct cli_opt *o, const char *value, int *dst, struct err *e)
{
	const char *list = o->choices;
	size_t n, len = strlen(value);
	int i;

	for (i = 0; *list != '\0'; i++) {
		n = strcspn(list, " ");
		if (n == len && strncmp(list, value, n) == 0) {
			*dst = i;
			return 0;
		}
		list += n + strspn(list + n, " ");
	}
	return err_set(e, ERR_PARAM, "option '--%s': '%s' is none of: %s",
	    o->name, value, o->choices);
}

static int
set_value(const struct cli_opt *o, const char *value, void *values,
    struct err *e)
{
	char *dst = (char *)values + o->offset;
	struct cli_u64 *num = (void *)dst;
	uint64_t v;

	switch (o->type) {
	case CLI_FLAG:
		*(int *)(void *)dst = 1;
		return 0;
	case CLI_STR:
		*(const char **)(void *)dst = value;
		return 0;
	case CLI_ENUM:
		return set_enum(o, value, (int *)(void *)dst, e);
	case CLI_U64:
		if (str_to_u64(value, 0, UINT64_MAX, &v) == -1)
			return err_set(e, ERR_PARAM,
			    "option '--%s': '%s' is not a number", o->name,
			    value);
		num->given = 1;
		num->v = v;
		return 0;
	}
	return 0;
}

static int
set_given(const struct parser *ps, const struct cli_command *cmd, void *values,
    struct err *e)
{
	size_t i;

	for (i = 0; i < ps->ngiven; i++) {
		if (!cli_takes(ps->p, cmd, ps->given[i].opt))
			return err_set(e, ERR_PARAM,
			    "'%s' does not take '--%s'", cmd->name,
			    ps->given[i].opt->name);
		if (set_value(ps->given[i].opt, ps->given[i].value, values,
			e) == -1)
			return -1;
	}
	return 0;
}

/* What was not given, from the environment; "" counts as not set. */
static int
set_from_env(const struct cli_program *p, const struct cli_command *cmd,
    void *values, struct err *e)
{
	const struct cli_opt *o;
	const char *value;

	for (o = p->options; o->name != NULL; o++) {
		if (o->env == NULL || !cli_takes(p, cmd, o))
			continue;
		value = getenv(o->env);
		if (value == NULL || *value == '\0')
			continue;
		if (set_value(o, value, values, e) == -1)
			return err_wrap(e, "environment variable %s", o->env);
	}
	return 0;
}

static int
check_args(const struct cli_command *cmd, int nargs, struct err *e)
{
	if (nargs >= cmd->args_min &&
	    (cmd->args_max == -1 || nargs <= cmd->args_max))
		return 0;
	if (cmd->args[0] == '\0')
		return err_set(e, ERR_PARAM, "'%s' takes no arguments",
		    cmd->name);
	return err_set(e, ERR_PARAM, "too %s arguments: usage is '%s %s'",
	    nargs < cmd->args_min ? "few" : "many", cmd->name, cmd->args);
}

static void
parser_init(struct parser *ps, const struct cli_program *p, int argc)
{
	memset(ps, 0, sizeof(*ps));
	ps->p = p;
	ps->given = xcalloc((size_t)argc + 1, sizeof(*ps->given));
	ps->words = xcalloc((size_t)argc + 1, sizeof(*ps->words));
}

static void
parser_fini(struct parser *ps)
{
	free(ps->given);
	free(ps->words);
}

/* The command and its values, from what read_words() found. */
static int
resolve(const struct parser *ps, void *values,
    const struct cli_command **cmd_out, int *nargs_out, char **args,
    struct err *e)
{
	int i, used = 0;

	*cmd_out = find_command(ps->p, ps->words, ps->nwords, &used);
	if (*cmd_out == NULL)
		return no_command(ps->p, ps->words, ps->nwords, e);
	*nargs_out = ps->nwords - used;
	for (i = used; i < ps->nwords; i++)
		args[i - used] = ps->words[i];
	if (check_args(*cmd_out, *nargs_out, e) == -1)
		return -1;
	if (set_from_env(ps->p, *cmd_out, values, e) == -1)
		return -1;
	return set_given(ps, *cmd_out, values, e);
}

int
cli_parse(const struct cli_program *p, int argc, char **argv, void *values,
    const struct cli_command **cmd_out, int *nargs_out, char **args,
    struct err *e)
{
	struct parser ps;
	int rv;

	parser_init(&ps, p, argc);
	rv = read_words(&ps, argc, argv, e);
	if (rv == 0)
		rv = resolve(&ps, values, cmd_out, nargs_out, args, e);
	parser_fini(&ps);
	return rv;
}

int
cli_exit_code(const struct err *e)
{
	switch ((int)e->code) {
	case ERR_OK:
		return CLI_EXIT_OK;
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return CLI_EXIT_UNAVAILABLE;
	case ERR_AUTH:
	case ERR_NOT_ALLOWED:
	case ERR_PERM:
		return CLI_EXIT_DENIED;
	default:
		return CLI_EXIT_FAILED;
	}
}

/* Help and version, which need no valid command line; -1 if not asked. */
static int
answer_help(const struct cli_program *p, int argc, char **argv)
{
	const struct cli_command *cmd;
	struct parser ps;
	struct err e;
	int used, skip, rv = -1;

	if (argc == 2 &&
	    (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		printf("%s %s\n", p->name, PACKAGE_VERSION);
		return CLI_EXIT_OK;
	}
	if (argc == 3 && strcmp(argv[1], "--print") == 0) {
		if (cli_print(stdout, p, argv[2], &e) == 0)
			return CLI_EXIT_OK;
		fprintf(stderr, "%s: %s\n", p->name, e.msg);
		return CLI_EXIT_USAGE;
	}
	parser_init(&ps, p, argc);
	(void)read_words(&ps, argc, argv, &e);
	skip = ps.nwords > 0 && strcmp(ps.words[0], "help") == 0;
	if (ps.want_help || skip) {
		cmd = find_command(p, ps.words + skip, ps.nwords - skip, &used);
		cli_help(stdout, p, cmd);
		rv = CLI_EXIT_OK;
	}
	parser_fini(&ps);
	return rv;
}

static void
put_help_hint(const struct cli_program *p, const struct cli_command *cmd)
{
	fprintf(stderr, "Try '%s help%s%s'.\n", p->name, cmd != NULL ? " " : "",
	    cmd != NULL ? cmd->name : "");
}

/* Whether that is the first word of the name. */
static int
begins_with(const char *name, const char *word)
{
	size_t len = strcspn(name, " ");

	return len == strlen(word) && strncmp(name, word, len) == 0;
}

static void
put_hint(const struct cli_program *p, const struct cli_command *cmd,
    const struct err *e)
{
	const struct cli_hint *h;

	if (p->hints == NULL)
		return;
	for (h = p->hints; h->code != ERR_OK; h++) {
		if (h->code != e->code ||
		    (h->first != NULL && !begins_with(cmd->name, h->first)))
			continue;
		if (h->text != NULL)
			fprintf(stderr, "Try '%s'.\n", h->text);
		return;
	}
	put_help_hint(p, cmd);
}

int
cli_main(const struct cli_program *p, int argc, char **argv, void *values)
{
	const struct cli_command *cmd = NULL;
	struct err e = {.code = ERR_OK};
	char **args;
	int nargs, rv;

	rv = answer_help(p, argc, argv);
	if (rv != -1)
		return rv;
	args = xcalloc((size_t)argc + 1, sizeof(*args));
	if (cli_parse(p, argc, argv, values, &cmd, &nargs, args, &e) == -1) {
		fprintf(stderr, "%s: %s\n", p->name, e.msg);
		put_help_hint(p, cmd);
		rv = CLI_EXIT_USAGE;
	} else if (cmd->run(values, nargs, args, &e) == -1) {
		fprintf(stderr, "%s: %s\n", p->name, e.msg);
		put_hint(p, cmd, &e);
		rv = cli_exit_code(&e);
	} else if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "%s: cannot write the output\n", p->name);
		rv = CLI_EXIT_FAILED;
	} else {
		rv = CLI_EXIT_OK;
	}
	free(args);
	return rv;
}
