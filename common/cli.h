#ifndef COMMON_CLI_H
#define COMMON_CLI_H

#include <stddef.h>
#include <stdio.h>

#include "common/err.h"

/*
 * Command lines of the form "program command [subcommand] arguments options",
 * from two tables that are also the help: all options of the program, and its
 * commands, each naming the options that it takes.
 */

enum cli_type {
	CLI_FLAG, /* int, 1 if given */
	CLI_STR,  /* const char *, lent from argv or the environment */
	CLI_U64,  /* struct cli_u64 */
	CLI_ENUM, /* int, position among the words of "choices" */
};

struct cli_u64 {
	int given;
	unsigned long long v;
};

struct cli_opt {
	const char *name; /* "backup-id" for --backup-id; NULL ends the table */
	char letter;      /* 'c' for -c too, or 0 */
	enum cli_type type;
	size_t offset;       /* in the program's struct of values */
	const char *arg;     /* what the value is called in the help: "ID" */
	const char *env;     /* environment variable to fall back on */
	const char *choices; /* of CLI_ENUM: "text json json-pretty" */
	const char *doc;
};

/* Runs a command.  args: the words that are no options. */
typedef int cli_run_fn(void *values, int nargs, char **args, struct err *e);

struct cli_command {
	const char *name;    /* "snapshot list"; NULL ends the table */
	const char *args;    /* "GROUP [FILE...]", "" for none */
	const char *options; /* names that it takes, with blanks between */
	int args_min;
	int args_max; /* -1: no limit */
	cli_run_fn *run;
	const char *doc; /* first line: the summary */
};

/* What to try when a command failed; the first that fits counts. */
struct cli_hint {
	enum err_code code; /* ERR_OK: of any error; ends the table */
	const char *first;  /* word of the command; NULL: any */
	const char *text;   /* NULL: the error says it */
};

struct cli_program {
	const char *name;
	const char *doc;
	const struct cli_opt *options;
	const char *common; /* options that every command takes */
	const struct cli_command *commands;
	const char *footer; /* below the program's help, or NULL */
	/* NULL: none.  When none fits, the help of the command is the hint. */
	const struct cli_hint *hints;
};

/* Exit codes of both commands. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILED = 1,
	CLI_EXIT_USAGE = 2,
	CLI_EXIT_UNAVAILABLE = 3, /* nobody answers: try again later */
	CLI_EXIT_DENIED = 4,      /* not logged in, or not allowed */
};

/*
 * The whole of main(): help, version, "--print", parsing into values (zeroed by
 * the caller), the command, its error on stderr.  Returns the exit code.
 * Options and arguments may stand in any order; "--" ends the options.
 */
int cli_main(const struct cli_program *p, int argc, char **argv, void *values);

/* Parts of it, for tests.  cli_parse() gives the command and moves its
 * arguments to args (argc places); ERR_PARAM. */
int cli_parse(const struct cli_program *p, int argc, char **argv, void *values,
    const struct cli_command **cmd_out, int *nargs_out, char **args,
    struct err *e);
void cli_help(FILE *f, const struct cli_program *p,
    const struct cli_command *cmd); /* NULL: of the program */
/* "man": commands and options in roff, "bash", "zsh": completion; ERR_PARAM if
 * it is none of these. */
int cli_print(FILE *f, const struct cli_program *p, const char *what,
    struct err *e);
int cli_exit_code(const struct err *e);

/* For cli.c and cli_help.c: whether a word is in a list with blanks. */
int cli_list_has(const char *list, const char *word);
/* Whether a command takes an option. */
int cli_takes(const struct cli_program *p, const struct cli_command *cmd,
    const struct cli_opt *o);

#endif
