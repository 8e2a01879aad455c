/*
 * What is made from the tables of holdfast and holdfast-admin beside their
 * help (cli_help.c): the commands and options of the manual page, and
 * completion for bash and zsh.  Runs when the packages are built.
 */
#include "config.h"

#include "common/cli.h"

#include <string.h>

#include "common/err.h"
#include "common/roff.h"

/* --- manual page --- */

/* Its lines as sentences. */
static void
put_sentences(FILE *f, const char *doc)
{
	char line[1024];
	size_t n;

	while (*doc != '\0') {
		n = strcspn(doc, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, doc);
		roff_put(f, line);
		fputs(n > 0 && doc[n - 1] == '.' ? "\n" : ".\n", f);
		doc += n + strspn(doc + n, "\n");
	}
}

static void
put_option_name(FILE *f, const struct cli_opt *o)
{
	fputs("\\fB\\-\\-", f);
	roff_put(f, o->name);
	fputs("\\fR", f);
}

static void
man_command(FILE *f, const struct cli_program *p, const struct cli_command *c)
{
	const struct cli_opt *o;
	const char *sep = "Options: ";

	fputs(".TP\n\\fB", f);
	roff_put(f, c->name);
	fputs("\\fR \\fI", f);
	roff_put(f, c->args);
	fputs("\\fR\n", f);
	put_sentences(f, c->doc);
	for (o = p->options; o->name != NULL; o++) {
		if (!cli_list_has(c->options, o->name))
			continue;
		fputs(sep, f);
		put_option_name(f, o);
		sep = ", ";
	}
	if (*sep == ',')
		fputs(".\n", f);
}

static void
man_option(FILE *f, const struct cli_program *p, const struct cli_opt *o)
{
	fputs(".TP\n", f);
	if (o->letter != '\0')
		fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
	put_option_name(f, o);
	if (o->type != CLI_FLAG) {
		fputs(" \\fI", f);
		roff_put(f,
		    o->type == CLI_ENUM  ? "WHAT"
			: o->arg != NULL ? o->arg
					 : "VALUE");
		fputs("\\fR", f);
	}
	fputc('\n', f);
	put_sentences(f, o->doc);
	if (o->type == CLI_ENUM) {
		fputs("One of: ", f);
		roff_put(f, o->choices);
		fputs(".\n", f);
	}
	if (o->env != NULL)
		fprintf(f,
		    "Taken from the environment variable \\fB%s\\fR if "
		    "not given.\n",
		    o->env);
	if (cli_list_has(p->common, o->name))
		fputs("Every command takes it.\n", f);
}

static void
print_man(FILE *f, const struct cli_program *p)
{
	const struct cli_command *c;
	const struct cli_opt *o;

	fputs(".SH COMMANDS\n", f);
	for (c = p->commands; c->name != NULL; c++)
		man_command(f, p, c);
	fputs(".SH OPTIONS\n", f);
	for (o = p->options; o->name != NULL; o++)
		man_option(f, p, o);
	fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\n"
	      "Show the help of the program or of a command.\n"
	      ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nShow the version.\n"
	      ".TP\n\\fB\\-\\-print\\fR \\fIWHAT\\fR\n"
	      "Print what this manual page (man) and the shell completions "
	      "(bash, zsh) are made of.\n",
	    f);
}

/* --- completion --- */

/* A shell's function name: holdfast-admin becomes _holdfast_admin. */
static void
put_function(FILE *f, const struct cli_program *p)
{
	const char *s;

	fputc('_', f);
	for (s = p->name; *s != '\0'; s++)
		fputc(*s == '-' ? '_' : *s, f);
}

/* "--a|--b|-b", those that have a value or those that have none. */
static void
put_valued(FILE *f, const struct cli_program *p)
{
	const struct cli_opt *o;
	const char *sep = "";

	for (o = p->options; o->name != NULL; o++) {
		if (o->type == CLI_FLAG)
			continue;
		fprintf(f, "%s--%s", sep, o->name);
		if (o->letter != '\0')
			fprintf(f, "|-%c", o->letter);
		sep = "|";
	}
}

/* A case branch for each command with its options, for each choice with its
 * words: "set" is put in front of the list. */
static void
put_option_cases(FILE *f, const struct cli_program *p)
{
	const struct cli_command *c;
	const struct cli_opt *o;

	for (c = p->commands; c->name != NULL; c++) {
		fprintf(f, "\t\"%s \"*) options=\"", c->name);
		for (o = p->options; o->name != NULL; o++)
			if (cli_takes(p, c, o))
				fprintf(f, "--%s ", o->name);
		fputs("--help\" ;;\n", f);
	}
}

static void
put_choice_cases(FILE *f, const struct cli_program *p)
{
	const struct cli_opt *o;

	for (o = p->options; o->name != NULL; o++)
		if (o->type == CLI_ENUM)
			fprintf(f, "\t--%s) choices=\"%s\" ;;\n", o->name,
			    o->choices);
}

/* Both shells: the words before the cursor that are no options, in "line",
 * and in "before" an option that still needs its value. */
static void
put_scan(FILE *f, const struct cli_program *p, const char *words)
{
	fprintf(f,
	    "\tlocal line= before= word options=--help choices= name\n"
	    "\tfor word in \"%s\"; do\n"
	    "\t\t[ \"$word\" != = ] || continue\n"
	    "\t\tif [ -n \"$before\" ]; then\n"
	    "\t\t\tbefore=\n"
	    "\t\t\tcontinue\n"
	    "\t\tfi\n"
	    "\t\tcase $word in\n\t\t",
	    words);
	put_valued(f, p);
	fputs(") before=$word ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) line=\"$line$word \" ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tcase $line in\n",
	    f);
	put_option_cases(f, p);
	fputs("\tesac\n\tcase $before in\n", f);
	put_choice_cases(f, p);
	fputs("\tesac\n", f);
}

static void
print_bash(FILE *f, const struct cli_program *p)
{
	const struct cli_command *c;

	fprintf(f, "# bash completion for %s\n", p->name);
	put_function(f, p);
	fputs("()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} next=\n", f);
	put_scan(f, p, "${COMP_WORDS[@]:1:COMP_CWORD-1}");
	fputs("\twhile read -r name; do\n"
	      "\t\tcase \"$name \" in\n"
	      "\t\t\"$line\") ;;\n"
	      "\t\t\"$line\"*)\n"
	      "\t\t\tname=${name#\"$line\"}\n"
	      "\t\t\tnext=\"$next ${name%% *}\"\n"
	      "\t\t\t;;\n"
	      "\t\tesac\n"
	      "\tdone <<'END'\n",
	    f);
	for (c = p->commands; c->name != NULL; c++)
		fprintf(f, "%s\n", c->name);
	fputs("END\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ -n \"$before\" ]; then\n"
	      "\t\tnext=$choices\n"
	      "\telif [ \"${cur#-}\" != \"$cur\" ]; then\n"
	      "\t\tnext=$options\n"
	      "\tfi\n"
	      "\t[ -z \"$next\" ] || "
	      "mapfile -t COMPREPLY < <(compgen -W \"$next\" -- \"$cur\")\n"
	      "}\n"
	      "complete -o default -F ",
	    f);
	put_function(f, p);
	fprintf(f, " %s\n", p->name);
}

/* In single quotes, a colon for _describe(). */
static void
put_zsh(FILE *f, const char *s, size_t len)
{
	for (; len > 0; s++, len--) {
		if (*s == '\'')
			fputs("'\\''", f);
		else if (*s == ':')
			fputs("\\:", f);
		else
			fputc(*s, f);
	}
}

static void
print_zsh(FILE *f, const struct cli_program *p)
{
	const struct cli_command *c;

	fprintf(f, "#compdef %s\n", p->name);
	put_function(f, p);
	fputs("() {\n\tlocal -a commands next\n\tlocal doc\n\tcommands=(\n", f);
	for (c = p->commands; c->name != NULL; c++) {
		fprintf(f, "\t'%s:", c->name);
		put_zsh(f, c->doc, strcspn(c->doc, "\n"));
		fputs("'\n", f);
	}
	fputs("\t)\n", f);
	put_scan(f, p, "${(@)words[2,CURRENT-1]}");
	fputs("\tfor name in \"${commands[@]}\"; do\n"
	      "\t\tdoc=${name#*:}\n"
	      "\t\tname=${name%%:*}\n"
	      "\t\t[[ \"$name \" == \"$line\" ]] && continue\n"
	      "\t\t[[ \"$name \" == \"$line\"* ]] || continue\n"
	      "\t\tname=${name#\"$line\"}\n"
	      "\t\t[[ $name == *' '* ]] && doc=\"${name%% *} ...\"\n"
	      "\t\tnext+=(\"${name%% *}:$doc\")\n"
	      "\tdone\n"
	      "\tif [[ -n $before ]]; then\n"
	      "\t\tif [[ -n $choices ]]; then compadd -- ${=choices}\n"
	      "\t\telse _files\n"
	      "\t\tfi\n"
	      "\telif [[ $PREFIX == -* ]]; then\n"
	      "\t\tcompadd -- ${=options}\n"
	      "\telif (( $#next )); then\n"
	      "\t\tnext=(\"${(@u)next}\")\n"
	      "\t\t_describe command next\n"
	      "\telse\n"
	      "\t\t_files\n"
	      "\tfi\n"
	      "}\n",
	    f);
	put_function(f, p);
	fputs(" \"$@\"\n", f);
}

int
cli_print(FILE *f, const struct cli_program *p, const char *what, struct err *e)
{
	static const struct {
		const char *what;
		void (*print)(FILE *f, const struct cli_program *p);
	} rows[] = {
	    {"man", print_man},
	    {"bash", print_bash},
	    {"zsh", print_zsh},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].what, what) == 0) {
			rows[i].print(f, p);
			return 0;
		}
	}
	return err_set(e, ERR_PARAM,
	    "option '--print': '%s' is none of: man bash zsh", what);
}
