/*
 * The help of holdfast and holdfast-admin, from the tables that also parse
 * their command lines (cli.c).
 */
#include "config.h"

#include "common/cli.h"

#include <string.h>

#define HELP_WIDTH 79
#define HELP_INDENT 26

/* Words of text from the current column on, wrapped to the indent. */
static void
put_text(FILE *f, const char *text, size_t column, size_t indent)
{
	size_t n;

	while (*text != '\0') {
		n = strcspn(text, " \n");
		if (column > indent && column + 1 + n > HELP_WIDTH) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', f);
			column++;
		}
		fwrite(text, 1, n, f);
		column += n;
		text += n;
		text += strspn(text, " ");
		if (*text == '\n') {
			text++;
			if (*text == '\0')
				break;
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		}
	}
	fputc('\n', f);
}

/* A left column, then text beside or below it. */
static void
put_row(FILE *f, const char *left, const char *text)
{
	size_t len = strlen(left);

	fprintf(f, "  %s", left);
	if (len + 2 < HELP_INDENT)
		fprintf(f, "%*s", (int)(HELP_INDENT - len - 2), "");
	else
		fprintf(f, "\n%*s", HELP_INDENT, "");
	put_text(f, text, HELP_INDENT, HELP_INDENT);
}

static void
put_option(FILE *f, const struct cli_opt *o)
{
	char left[128], text[1024];

	snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
	    o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
	    o->type == CLI_FLAG ? "" : " ",
	    o->type == CLI_FLAG       ? ""
		: o->type == CLI_ENUM ? "WHAT"
		: o->arg != NULL      ? o->arg
				      : "VALUE");
	snprintf(text, sizeof(text), "%s%s%s%s%s%s", o->doc,
	    o->type == CLI_ENUM ? ": one of " : "",
	    o->type == CLI_ENUM ? o->choices : "", o->env != NULL ? " [" : "",
	    o->env != NULL ? o->env : "", o->env != NULL ? "]" : "");
	put_row(f, left, text);
}

static void
help_command(FILE *f, const struct cli_program *p,
    const struct cli_command *cmd)
{
	const struct cli_opt *o;

	fprintf(f, "Usage: %s %s%s%s [options]\n\n", p->name, cmd->name,
	    cmd->args[0] != '\0' ? " " : "", cmd->args);
	put_text(f, cmd->doc, 0, 0);
	fputs("\nOptions:\n", f);
	for (o = p->options; o->name != NULL; o++)
		if (cli_takes(p, cmd, o))
			put_option(f, o);
	put_row(f, "-h, --help", "Show this help");
}

static void
help_program(FILE *f, const struct cli_program *p)
{
	const struct cli_command *c;
	const struct cli_opt *o;
	char left[128], first[256];

	fprintf(f, "Usage: %s command [arguments] [options]\n\n", p->name);
	put_text(f, p->doc, 0, 0);
	fputs("\nCommands:\n", f);
	for (c = p->commands; c->name != NULL; c++) {
		snprintf(left, sizeof(left), "%s", c->name);
		snprintf(first, sizeof(first), "%.*s",
		    (int)strcspn(c->doc, "\n"), c->doc);
		put_row(f, left, first);
	}
	fputs("\nOptions of every command:\n", f);
	for (o = p->options; o->name != NULL; o++)
		if (cli_list_has(p->common, o->name))
			put_option(f, o);
	put_row(f, "-h, --help", "Show the help of the command");
	put_row(f, "-V, --version", "Show the version");
	put_row(f, "    --print WHAT",
	    "Print what the manual page and the shell completions are made of: one of man bash zsh");
	if (p->footer != NULL)
		fprintf(f, "\n%s\n", p->footer);
}

void
cli_help(FILE *f, const struct cli_program *p, const struct cli_command *cmd)
{
	if (cmd != NULL)
		help_command(f, p, cmd);
	else
		help_program(f, p);
}
